"""A test set of persons on a line, with their positions as features: rankings can be read off by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix

Rows = Sequence[tuple[int, int, int]]  # pid, camera from 1, position on the line

# As in tests/metrics/ranking/test_cameras.py, plus a junk row, and a query without a true match at the end.
QUERIES: Rows = [(1, 1, 0), (1, 2, 8), (2, 1, 8), (2, 2, 0), (3, 1, 4)]
GALLERY: Rows = [(1, 2, 1), (2, 1, 2), (1, 1, 3), (0, 2, 4), (2, 2, 5), (1, 2, 6), (2, 1, 7), (-1, 2, 1)]
LINE = "{use: market-folder, root: line}"
MATRIX = """
title: On a line
image_size: [16, 8]
seeds: [0, 1]
data: {line: DATA}
tasks: {t: {target: line}}
backbone: {use: resnet-tiny, width: 4}
evaluate: EVALUATE
methods:
METHODS
"""


def write_line(folder: Path, queries: Rows = QUERIES, gallery: Rows = GALLERY) -> None:
    """Write the images as a Market-1501 folder, and features: near.npz (at their positions) and right.npz (correct)."""
    names, places, pids = [], [], []
    for part, rows in (("query", queries), ("bounding_box_test", gallery), ("bounding_box_train", [(9, 1, 0)])):
        (folder / "line" / part).mkdir(parents=True)
        for number, (pid, camera, place) in enumerate(rows, start=len(names)):
            person = "-1" if pid < 0 else f"{pid:04d}"
            name = f"{person}_c{camera}s1_{number:06d}_00.png"
            Image.new("RGB", (4, 8), (place * 20, camera * 50, number)).save(folder / "line" / part / name)
            names.append(name)
            places.append(float(place))
            pids.append(10.0 * pid)
    for file, values in (("near", places), ("right", pids)):
        features = np.array([[value, 5.0] for value in values[:-1]], np.float32)  # 5.0 prevents zero vectors
        np.savez(folder / f"{file}.npz", names=names[:-1], features=features)


def run_line(folder: Path, evaluate: str, *methods: str, data: str = LINE) -> tuple[Plan, Store]:
    """Run methods on the output of `write_line`."""
    text = (
        MATRIX.replace("DATA", data)
        .replace("EVALUATE", evaluate)
        .replace("METHODS", "\n".join(f"  {method}" for method in methods))
    )
    run_matrix(text, folder)
    return plan.expand(reader.read(folder / "matrix.yaml", plugins.load())), Store(folder / "store")
