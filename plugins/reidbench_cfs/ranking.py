"""From scores to a selection: exact sizes, a total order, and the files that describe both. Does not import torch."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench import Selection

COLUMNS = ("rank", "id", "score", "content", "kept")
BLOCK = 1 << 13  # rows of a list held as text at a time


def keep_count(keep: float, total: int) -> int:
    """ceil(keep * total), with `keep` as the decimal number in the matrix file: 0.1 of 30 is 3, not 4."""
    return math.ceil(Fraction(repr(float(keep))) * total)


def descending(scores: NDArray[Any], tie_break: NDArray[Any] | None = None) -> NDArray[np.int64]:
    """[N] indices by falling score; equal scores by rising `tie_break` [N], then by index."""
    order: NDArray[np.int64] = np.argsort(-scores, kind="stable")
    if tie_break is None:
        return order
    ranked = scores[order]
    equal = np.concatenate(([False], ranked[1:] == ranked[:-1], [False]))
    tied = np.flatnonzero(equal[1:] | equal[:-1])  # only these are sorted again: few, unless a proxy is unchanged
    group = order[tied]
    order[tied] = group[np.lexsort((tie_break[group], -scores[group]))]
    return order


def select(
    scores: NDArray[Any], keep: float, *, lowest: bool = False, tie_break: NDArray[Any] | None = None
) -> Selection:
    """Keep the share [ceil(keep * N)] with the best scores, or with `lowest` the other end of the same order.

    The kept indices rise: a selection is a set, and the whole pool keeps its order. A smaller share is a subset of a
    larger one; highest and lowest shares that add up to N are disjoint.
    """
    order = descending(scores, tie_break)
    count = keep_count(keep, len(scores))
    kept = order[len(order) - count :] if lowest else order[:count]
    return Selection(np.sort(kept), scores)


def pool_hash(content: NDArray[np.uint64]) -> str:
    """Hash of a pool's images, independent of their order: 32 hexadecimal digits from their content hashes [N]."""
    return hashlib.sha256(np.sort(content).astype("<u8").tobytes()).hexdigest()[:32]


def write_list(folder: Path, selection: Selection, content: NDArray[np.uint64], stem: str = "list") -> None:
    """Write the whole pool by falling score, as the released list is, to CSV and, if pyarrow is installed, Parquet.

    Columns: rank from 1, id (the pool's opaque name of the image), score, content (hash of the pixels), kept (0 or 1).
    Blocks are written one by one, so that memory does not depend on the rows' text.
    """
    with (folder / f"{stem}.csv").open("w", encoding="utf-8", newline="") as stream:
        stream.write(",".join(COLUMNS) + "\n")
        for columns in _blocks(selection, content):
            rows = zip(*(column.tolist() for column in columns), strict=True)
            stream.write("".join(f"{r},{i:07d},{s:.9g},{c:016x},{k:d}\n" for r, i, s, c, k in rows))
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        return
    kinds = (pa.int64(), pa.string(), pa.float32(), pa.uint64(), pa.bool_())
    schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
    with parquet.ParquetWriter(folder / f"{stem}.parquet", schema) as writer:
        for rank, index, score, content_hash, kept in _blocks(selection, content):
            ids = [f"{i:07d}" for i in index.tolist()]
            writer.write_table(pa.table([rank, ids, score, content_hash, kept], schema=schema))


def _blocks(selection: Selection, content: NDArray[np.uint64]) -> Iterator[tuple[NDArray[Any], ...]]:
    order = descending(selection.scores, content)
    kept = np.zeros(len(order), dtype=bool)
    kept[selection.indices] = True
    for start in range(0, len(order), BLOCK):
        index = order[start : start + BLOCK]
        rank = np.arange(start + 1, start + 1 + len(index))
        yield rank, index, np.asarray(selection.scores[index], np.float32), content[index], kept[index]


def write_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write `facts.json`: the sources of the selection."""
    (folder / "facts.json").write_text(json.dumps(dict(facts), indent=1, sort_keys=True) + "\n")


def describe_scores(scores: NDArray[Any]) -> dict[str, float]:
    """Return minimum, quartiles and maximum of scores [N]."""
    names = ("least", "quartile_1", "median", "quartile_3", "greatest")
    return {name: float(value) for name, value in zip(names, np.quantile(scores, (0, 0.25, 0.5, 0.75, 1)), strict=True)}
