"""Checks that require a GPU, in five minutes: `python -m benchmarks.gpu`; gpu.md describes them and their tolerances.

Exit codes: 0 all checks passed, 1 a check failed, 2 the checks cannot run.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from .checks import NAMES, Checks, Row
from .processes import Processes

MARKS = ("<!-- results -->\n", "<!-- end -->\n")


def main(arguments: Sequence[str]) -> int:
    """Run the checks and print the table; return the exit code."""
    given = _parser().parse_args(arguments)
    only = [name for name in given.only.split(",") if name]
    unknown = [name for name in only if name not in NAMES]
    if unknown:
        return _refuse(f"--only: {', '.join(unknown)} is unknown; choose from {', '.join(NAMES)}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        processes = Processes(Path(folder), 60 * given.minutes)
        seen = list(processes.lines(["about"], Path(folder) / "log-about", hidden=given.device == "cpu"))
        if not seen:
            return _refuse(f"no process started:  {(Path(folder) / 'log-about').read_text()[-2000:]}")
        if given.device == "cuda" and not seen[0]["devices"]:
            return _refuse("no GPU is visible to torch; `--device cpu --tiny` runs the same code on the CPU")
        rows = []
        for row in Checks(processes, given.device, len(seen[0]["devices"]), given.tiny, only).rows():
            print(f"{row.check}, {row.subject}: {row.result} {row.measured}", file=sys.stderr)
            rows.append(row)
    text = f"{_head(seen[0], given)}\n\n{_table(rows)}\n"
    print(text, end="")
    if given.out:
        write(given.out, text)
    return 1 if any(row.result.startswith("failed") for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="device to compare with the CPU")
    parser.add_argument("--tiny", action="store_true", help="small steps instead of the papers'")
    parser.add_argument(
        "--minutes", type=float, default=5.0, help="time limit in minutes; remaining checks are skipped"
    )
    parser.add_argument("--only", default="", help="comma-separated families and checks to run")
    parser.add_argument("-o", "--out", type=Path, help="also write the table to this file")
    return parser


def _refuse(sentence: str) -> int:
    print(f"benchmarks.gpu: {sentence}", file=sys.stderr)
    return 2


def _head(seen: dict[str, Any], given: argparse.Namespace) -> str:
    """Date, devices, driver and versions, on one line."""
    devices = ", ".join(seen["devices"]) or "CPU"
    versions = ", ".join(f"{name} {version}" for name, version in seen["versions"].items())
    cuda = f"CUDA {seen['cuda']}, driver {_driver()}, " if seen["devices"] else ""
    steps = "small steps" if given.tiny else "the papers' steps"
    return f"{datetime.date.today()}, {devices}, {cuda}{versions}; {steps}."


def _driver() -> str:
    try:
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split("\n")[0].strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _table(rows: Sequence[Row]) -> str:
    header = ["check", "what", "result", "measured", "allowed"]
    lines = [[row.check, row.subject, _cell(row.result), row.measured, row.allowed] for row in rows]
    return tabulate(lines, header, tablefmt="github", disable_numparse=True)


def _cell(text: str) -> str:
    """Escape text, such as an error message, for a table."""
    return " ".join(text.replace("|", "/").split())[:200]


def write(file: Path, text: str) -> None:
    """Write the results between the markers of a page that has them; otherwise they replace the file."""
    page = file.read_text() if file.is_file() else ""
    if all(mark in page for mark in MARKS):
        before, after = page.split(MARKS[0])[0], page.split(MARKS[1])[1]
        text = f"{before}{MARKS[0]}{text}{MARKS[1]}{after}"
    file.write_text(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
