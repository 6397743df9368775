"""Measure plan, store and table at one size and at a tenth of it: CPU seconds, ratios, peak memory.

`python -m benchmarks.perf.harness.scale_measure [ROWS]` prints them as a Markdown table. Artifacts have only manifests,
written directly to the store, since the benchmark measures how they are found and read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.perf.harness.test_plan import write_matrix
from benchmarks.perf.metrics.measure import ONE_THREAD, memory

Figures = dict[str, Any]


def seconds(run: Callable[[], Any], rounds: int = 1) -> tuple[float, Any]:
    """CPU seconds of the fastest of several rounds, and the result."""
    best, result = float("inf"), None
    for _ in range(rounds):
        began = time.process_time()
        result = run()
        best = min(best, time.process_time() - began)
    return best, result


def peak(run: Callable[[], Any]) -> tuple[float, float, Any]:
    """(CPU seconds, MiB of the peak above the previous level, result)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    before = memory("VmRSS")
    taken, result = seconds(run)
    return taken, memory("VmHWM") - before, result


def planned(folder: Path, rows: int) -> tuple[float, float, Any]:
    """Plan of `rows` rows: 10 tasks, 25 seeds, 2 evaluators, and the number of methods that this requires."""
    from reidbench.matrix import plan
    from reidbench.matrix.reading import reader
    from reidbench.registry import plugins

    registry = plugins.load()
    folder.mkdir()
    file = write_matrix(folder, methods=rows // 500)
    return peak(lambda: plan.expand(reader.read(file, registry)))


def stored(the_plan: Any, root: Path) -> Any:
    """Store in which every row has its result, and nothing more."""
    from reidbench.store.artifacts import MANIFEST, Store
    from reidbench.store.manifests import checksum

    for number, row in enumerate(the_plan.rows):
        metrics = {"mAP": 0.3 + number % 97 / 200, "cmc1": 0.5, "cmc5": 0.75, "mINP": 0.1}
        manifest: dict[str, Any] = {"key": row.key, "files": {}, "metrics": metrics, "seconds": 0.1, "platform": "-"}
        manifest |= {"plugin": "reidbench_baseline", "source": "0" * 32, "versions": {"python": "3", "numpy": "2"}}
        manifest |= {"stage": {"label": the_plan.stages[row.key].label, "kind": "evaluate"}}
        manifest["checksum"] = checksum(manifest)
        place = root / "objects" / row.key
        place.mkdir(parents=True)
        (place / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return Store(root)


def scanned(root: Path) -> set[str]:
    with os.scandir(root / "objects") as entries:
        return {entry.name for entry in entries}


def bare(root: Path) -> int:
    """Read and parse every manifest, without using it."""
    return sum(len(json.loads((root / "objects" / name / "manifest.json").read_bytes())) for name in scanned(root))


def measure(rows: int) -> Figures:
    """All figures at `rows` rows and at a tenth of them."""
    from reidbench import report
    from reidbench.execution.pending import pending

    found: Figures = {"rows": rows, "seconds": {}, "ratios": {}, "mib": {}}
    written: dict[int, dict[str, float]] = {}
    memory_disk = Path("/dev/shm")  # noqa: S108 - so that no disk is measured, and no neighbour's use of it
    with tempfile.TemporaryDirectory(dir=memory_disk if memory_disk.is_dir() else None) as place:
        for size in (rows // 10, rows):
            root = Path(place) / f"store-{size}"
            plan_s, plan_mib, the_plan = planned(Path(place) / f"plan-{size}", size)
            store = stored(the_plan, root)
            table_s, table_mib, board = peak(lambda plan=the_plan, store=store: report.collect(plan, store))
            formats = {f: seconds(lambda b=board, f=f: report.write(b, f))[0] for f in ("md", "csv", "json", "latex")}
            written[size] = {"plan": plan_s, "collect": table_s, **formats}
        found["mib"] = {"plan": plan_mib, "table": table_mib}
        found["seconds"] = written[rows]
        ratios = {"plan: a cell of {:,} against a cell of {:,}": ("plan",)}
        ratios |= {f"a table: a row of {{:,}} against a row of {{:,}}, {form}": (form,) for form in formats}
        for words, (name,) in ratios.items():
            ratio = written[rows][name] / written[rows // 10][name] / 10
            found["ratios"][words.format(rows, rows // 10)] = ratio
        found["ratios"] |= _store_ratios(store, root, the_plan, table_s, pending)
    return found


def _store_ratios(
    store: Any, root: Path, the_plan: Any, collect_s: float, pending: Callable[..., Any]
) -> dict[str, float]:
    names = sorted(scanned(root))
    files = [root / "objects" / name / "manifest.json" for name in names]
    scan_s, bare_s = seconds(lambda: scanned(root), 5)[0], seconds(lambda: bare(root))[0]
    return {
        "keys() against os.scandir": seconds(store.keys, 5)[0] / scan_s,
        "has() against os.stat": seconds(lambda: [store.has(name) for name in names])[0]
        / seconds(lambda: [os.stat(file) for file in files])[0],  # noqa: PTH116 - the least that can be asked
        "reading results against json.loads of the files": collect_s / bare_s,
        "the stages that miss against json.loads of the files": seconds(lambda: pending(the_plan, store))[0] / bare_s,
    }


def in_child(rows: int) -> Figures:
    """Measure in a fresh process with one thread."""
    command = [sys.executable, "-m", "benchmarks.perf.harness.scale_measure", "--json", str(rows)]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def table(figures: Figures) -> str:
    """The figures as Markdown."""
    rows = figures["rows"]
    lines = [f"| {rows:,} rows | |", "|---|---|"]
    lines += [f"| {name}, CPU s | {value:.2f} |" for name, value in figures["seconds"].items()]
    lines += [f"| {name}, peak MiB | {value:.0f} |" for name, value in figures["mib"].items()]
    lines += [f"| {name} | {value:.2f} |" for name, value in figures["ratios"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    as_json = "--json" in sys.argv
    measured = measure(int(next((word for word in sys.argv[1:] if word.isdigit()), 100_000)))
    print(json.dumps(measured) if as_json else table(measured))
