"""Print where the time of a run of the tests went: `python tests/support/slowest.py REPORT.xml`, from --junitxml."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Mapping
from heapq import nlargest
from pathlib import Path

FOLDERS, TESTS = 15, 30  # lines of each list


def main(report: Path) -> None:
    """Print seconds by folder and by test, the slowest first. The workers' times add up to more than the run took."""
    tests: dict[str, float] = {}
    folders: dict[str, float] = defaultdict(float)
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 - written by pytest a moment ago
        module, time = case.get("classname", ""), float(case.get("time", 0))
        tests[f"{module}::{case.get('name')}"] = time
        folders[".".join(module.split(".")[:3])] += time
    long = sum(time for time in tests.values() if time > 1)
    print(f"{len(tests)} tests, {sum(tests.values()):.0f} s, of which {long:.0f} s in tests of over 1 s")
    _print(folders, FOLDERS)
    _print(tests, TESTS)


def _print(times: Mapping[str, float], most: int) -> None:
    for name in nlargest(most, times, key=lambda name: times[name]):
        print(f"{times[name]:7.1f} s  {name[:100]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
