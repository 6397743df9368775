"""Measure one metric in a separate process: CPU seconds of one thread, and peak memory above the inputs.

`python -m benchmarks.perf.metrics.measure NAME` prints the figures of one metric as JSON; without a name, measures all,
each in a fresh process, and prints a table for README.md. Our code and the plain matrix product alternate in the same
process, with the same library and blocks, so that their ratio holds on a shared machine.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

Figures = dict[str, Any]


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of this process, and the result."""
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def memory(field: str) -> float:
    """MiB of VmRSS or VmHWM (its peak)."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(field))


def over_inputs(run: Callable[[], Any]) -> tuple[float, float, Any]:
    """(CPU seconds, MiB of the peak above the previous level, result) of a first run."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # resets the peak to the current size
    before = memory("VmRSS")
    taken, result = seconds(run)
    return taken, memory("VmHWM") - before, result


def turns(ours: Callable[[], Any], product: Callable[[], Any], rounds: int) -> Figures:
    """Alternate our code and the product: first run for the memory, then medians, and the median ratio of rounds."""
    first, mib, result = over_inputs(ours)
    times = [(first if i == 0 and rounds == 1 else seconds(ours)[0], seconds(product)[0]) for i in range(rounds)]
    return {
        "ours_s": statistics.median(a for a, _ in times),
        "product_s": statistics.median(b for _, b in times),
        "ratio": statistics.median(a / b for a, b in times),
        "mib": mib,
        "result": result,
    }


def rectangle(query: Any, gallery: Any) -> Callable[[], None]:
    """Plain product Q x G in the blocks of ranking, into one buffer."""
    import numpy as np

    from reidbench.metrics.products import BLOCK_ROWS

    def run() -> None:
        buffer = np.empty((BLOCK_ROWS, len(gallery)), np.float32)
        for start in range(0, len(query), BLOCK_ROWS):
            block = query[start : start + BLOCK_ROWS]
            np.matmul(block, gallery.T, out=buffer[: len(block)])

    return run


def square(x: Any) -> Callable[[], None]:
    """Plain product N x N in the blocks of neighbours, into one buffer."""
    import numpy as np

    from reidbench.metrics.neighbours.symmetric import blocks

    def run() -> None:
        parts = blocks(len(x))
        size = max(part.stop - part.start for part in parts)
        buffer = np.empty(size * size, np.float32)
        for a in parts:
            for b in parts:
                out = buffer[: (a.stop - a.start) * (b.stop - b.start)].reshape(a.stop - a.start, -1)
                np.matmul(x[a], x[b].T, out=out)

    return run


def ranking(size: str, rounds: int, sample: int) -> Figures:
    """All queries of a size; the argsort reference on the first `sample` of them, scaled up."""
    from benchmarks.perf.metrics import data, reference
    from reidbench.metrics import rank

    query, gallery = data.draw(getattr(data, size))

    def ours(queries: Any = query) -> Any:
        return rank(queries.features, queries.pids, queries.camids, gallery.features, gallery.pids, gallery.camids)

    figures = turns(ours, rectangle(query.features, gallery.features), rounds)
    figures["metrics"] = figures.pop("result").metrics()
    few = query.take(slice(0, sample))
    taken, (mean_ap, mean_inp, first) = seconds(lambda: reference.argsort_ranking(few, gallery))
    figures["reference_s"] = taken * len(query.features) / sample
    found = ours(few)
    figures["difference"] = max(abs(found.mAP - mean_ap), abs(found.mINP - mean_inp), abs(found.cmc[0] - first))
    return figures


def reranking(size: str, rounds: int, dense: bool) -> Figures:
    """All samples of a size, final distances ranked block by block; the dense reference if it fits."""
    import numpy as np

    from benchmarks.perf.metrics import data, reference
    from reidbench.metrics import Reranking, rank_blocks, rank_distances, rerank, rerank_blocks

    query, gallery = data.draw(getattr(data, size))
    labels = query.pids, query.camids, gallery.pids, gallery.camids
    together = np.concatenate([query.features, gallery.features])

    def ours() -> Any:
        return rank_blocks(rerank_blocks(query.features, gallery.features, Reranking("zhong")), *labels)

    _warm_up()
    figures = turns(ours, square(together), rounds)
    figures["metrics"] = figures.pop("result").metrics()
    del together
    if dense:
        expected_s, expected = seconds(lambda: reference.dense_reranking(query.features, gallery.features))
        found = rerank(query.features, gallery.features)
        figures["reference_s"] = expected_s
        figures["difference"] = float(np.abs(found - expected).max())
        figures["share_beyond_1e-5"] = float(np.mean(np.abs(found - expected) > 1e-5))
        figures["reference_mAP"] = rank_distances(expected, *labels).mAP
    return figures


def clustering(size: str, rounds: int, dense: int) -> Figures:
    """Jaccard graph and DBSCAN of all samples; labels of the first `dense` against the dense matrix."""
    import numpy as np
    from sklearn.cluster import DBSCAN

    from benchmarks.perf.metrics import data, reference
    from reidbench.metrics import cluster

    x = data.draw(getattr(data, size))[1].features
    _warm_up()
    figures = turns(lambda: cluster(x), square(x), rounds)
    labels = figures.pop("result")
    figures["clusters"], figures["outliers"] = int(labels.max()) + 1, int((labels < 0).sum())
    few = x[:dense]

    def dense_labels() -> Any:
        jaccard = reference.dense_jaccard(few)
        return DBSCAN(eps=0.6, min_samples=4, metric="precomputed").fit_predict(jaccard)

    taken, expected = seconds(dense_labels)
    ours_s, found = seconds(lambda: cluster(few))
    figures |= {"dense_n": dense, "reference_s": taken, "ours_there_s": ours_s}
    figures["same_labels"] = bool(np.array_equal(found, expected))
    return figures


def searching(size: str, rounds: int) -> Figures:
    """Lists of 21 of all samples from half of the product, and by faiss for comparison."""
    import numpy as np

    from benchmarks.perf.metrics import data
    from reidbench.metrics import nearest_neighbours

    query, gallery = data.draw(getattr(data, size))
    x = np.concatenate([query.features, gallery.features])
    del query, gallery
    _warm_up()
    figures = turns(lambda: nearest_neighbours(x, 21, backend="product"), square(x), rounds)
    figures["faiss_s"], other = seconds(lambda: nearest_neighbours(x, 21, backend="faiss"))
    figures["same_lists"] = bool(np.array_equal(figures.pop("result").indices, other.indices))
    return figures


def _warm_up() -> None:
    """Import scipy and scikit-learn and compile numba code, which are not part of a metric's time."""
    import numpy as np

    from reidbench.metrics import cluster, rerank

    few = np.random.default_rng(0).normal(size=(64, 8))
    cluster(few)
    rerank(few[:8], few[8:])


TASKS: dict[str, Callable[[], Figures]] = {
    "ranking-market": lambda: ranking("MARKET", rounds=5, sample=337),
    "ranking-msmt17": lambda: ranking("MSMT17", rounds=1, sample=200),
    "neighbours-market": lambda: searching("MARKET", rounds=2),
    "reranking-market": lambda: reranking("MARKET", rounds=2, dense=True),
    "reranking-msmt17": lambda: reranking("MSMT17", rounds=1, dense=False),
    "clustering-market-train": lambda: clustering("MARKET_TRAIN", rounds=2, dense=3_000),
    "clustering-msmt17-train": lambda: clustering("MSMT17_TRAIN", rounds=2, dense=3_000),
}


def in_child(name: str) -> Figures:
    """Measure in a fresh process with one thread."""
    command = [sys.executable, "-m", "benchmarks.perf.metrics.measure", name]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, text=True, check=True)
    figures: Figures = json.loads(done.stdout)
    return figures


def row(name: str, found: Figures) -> str:
    """One row of the table."""
    times = f"{found['ours_s']:.2f} | {found['product_s']:.2f} | {found['ratio']:.2f} | {found['mib']:.0f}"
    return f"| {name} | {times} | {found.get('reference_s', float('nan')):.1f} |"


HEADER = (
    "| what | ours, CPU s | product, CPU s | ratio | MiB over inputs | reference, CPU s |\n|---|---|---|---|---|---|"
)


def main() -> None:
    """Print one measurement as JSON, or all as a table."""
    if len(sys.argv) > 1:
        print(json.dumps(TASKS[sys.argv[1]]()))
        return
    print(HEADER)
    for name in TASKS:
        print(row(name, in_child(name)), flush=True)


if __name__ == "__main__":
    main()
