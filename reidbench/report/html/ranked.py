"""Ranked lists: the best and the worst queries of a row with their top-ranked gallery images.

Evaluators do not store whole rankings, so lists are recomputed from the stored features. They are shown only if they
reproduce the stored average precision, so that a reader sees what was scored.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from reidbench.data import Split, read_image
from reidbench.errors import DataError
from reidbench.matrix.stage import Stage
from reidbench.report.breakdown.scored import Scored, Unknown, explaining
from reidbench.report.options import Pictures
from reidbench.report.provenance import Evidence
from reidbench.report.results import Leaderboard, Result
from reidbench.stages.inputs import images_root

TOP = 10  # gallery images of a list
CHECKED = 40  # further queries whose average precision is recomputed and compared
HEIGHT = 96  # of a thumbnail, in pixels
QUALITY = 75
BEGIN = "data:image/jpeg;base64,"
BUDGET = 8 << 20  # bytes of all thumbnails of a page, as base64


@dataclass(frozen=True)
class Shown:
    """One image of a list; `match` marks true matches, `thumbnail` is the name of its thumbnail or ""."""

    pid: int
    camid: int
    match: bool
    thumbnail: str = ""


@dataclass(frozen=True)
class RankedQuery:
    """A query and its top-ranked gallery images."""

    ap: float
    first_hit: int
    query: Shown
    gallery: tuple[Shown, ...]


@dataclass(frozen=True)
class RankedList:
    """The best and worst queries of one row, or a `note` with the reason why there are none."""

    method: str
    task: str
    evaluator: str
    seed: int | None = 0
    best: tuple[RankedQuery, ...] = ()
    worst: tuple[RankedQuery, ...] = ()
    note: str = ""


@dataclass
class Thumbnails:
    """JPEG thumbnails as data URIs, one per image, up to `budget` bytes."""

    budget: int = BUDGET
    pictures: dict[str, str] = field(default_factory=dict)
    left_out: int = 0
    _names: dict[str, str] = field(default_factory=dict)

    def add(self, path: Path) -> str:
        """Return the name of an image's thumbnail, or "" if it cannot be read or the budget is used up."""
        if str(path) not in self._names:
            self._names[str(path)] = self._make(path)
        return self._names[str(path)]

    def _make(self, path: Path) -> str:
        try:
            return self.draw(read_image(path))
        except DataError:
            self.left_out += 1
            return ""

    def draw(self, pixels: np.ndarray) -> str:
        """Return the name of a new thumbnail of uint8 [h, w, 3], or "" if the budget is used up."""
        from PIL import Image

        picture = Image.fromarray(pixels)
        picture.thumbnail((2 * HEIGHT, HEIGHT))
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=QUALITY, optimize=True)
        size = len(BEGIN) + 4 * -(-len(stream.getvalue()) // 3)  # in the page, as base64
        if self.budget < size:
            self.left_out += 1
            return ""
        self.budget -= size
        name = f"p{len(self.pictures)}"
        self.pictures[name] = self.address(stream.getvalue())
        return name

    def address(self, picture: bytes) -> str:
        """Return the data URI of a thumbnail."""
        return BEGIN + base64.b64encode(picture).decode()


def ranked_lists(
    board: Leaderboard, evidence: Evidence, count: int, pictures: Pictures, thumbnails: Thumbnails
) -> Iterator[RankedList]:
    """Yield the `count` best and worst queries of every cell with a number, for its first seed.

    `pictures`: images of rendered data sets only, of all data sets, or none.
    """
    targets: Targets = {}
    for task in board.tasks:
        for evaluator in board.evaluators:
            for method in board.methods:
                good = [result for result in board.cell(method, task, evaluator) if result.status == "ok"]
                if good and count > 0:
                    yield Lister(evidence, good[0], pictures, thumbnails, targets).list(count)


Target = tuple[dict[str, Split], Path | None]
Targets = dict[str, Target]  # by key of the data, read once for all methods


class Lister:
    """Makes ranked lists of one result."""

    def __init__(
        self, evidence: Evidence, result: Result, pictures: Pictures, thumbnails: Thumbnails, targets: Targets
    ) -> None:
        self.evidence, self.result = evidence, result
        self.pictures, self.thumbnails, self.targets = pictures, thumbnails, targets

    def list(self, count: int) -> RankedList:
        """Return the `count` best and worst queries."""
        row = self.result.row
        place = (row.method, row.task, row.evaluator, row.seed)
        try:
            with explaining():
                return RankedList(*place, *self._best_and_worst(count))
        except Unknown as reason:
            return RankedList(*place, note=str(reason))

    def queries(self, chosen: Sequence[int]) -> dict[int, RankedQuery]:
        """Return lists of some queries by number. Raises Unknown if they cannot be made."""
        with explaining():
            self._rank(np.array(chosen))
            return {index: self._query(index) for index in chosen}

    def _best_and_worst(self, count: int) -> tuple[tuple[RankedQuery, ...], tuple[RankedQuery, ...]]:
        order = np.flatnonzero(self.scored.valid)
        order = order[np.argsort(-self.scored.ap[order], kind="stable")]
        best, worst = _ends(order, min(count, len(order) // 2))
        self._rank(np.concatenate([best, worst]))
        return tuple(self._query(int(i)) for i in best), tuple(self._query(int(i)) for i in worst)

    @cached_property
    def scored(self) -> Scored:
        """The evaluation and its inputs. Raises as `Scored.of`."""
        return Scored.of(self.evidence, self.result.row.key or "")

    def _rank(self, chosen: np.ndarray) -> None:
        """Compare the chosen queries, and a sample of the others, with the stored scores. Raises Unknown."""
        order = np.flatnonzero(self.scored.valid)
        order = order[np.argsort(-self.scored.ap[order], kind="stable")]
        spread = order[np.linspace(0, len(order) - 1, min(CHECKED, len(order))).astype(int)]
        self.scored.ranked(np.unique(np.concatenate([chosen, spread])))
        self.splits, self.root = self._images(self.scored.embeds[0])

    def _images(self, embed: Stage) -> Target:
        """Return query and gallery of the target, and the folder of their images if they may be shown."""
        (given,) = embed.data
        if given.key not in self.targets:
            self.targets[given.key] = self._target(given.key)
        return self.targets[given.key]

    def _target(self, key: str) -> Target:
        artifact = self.evidence.store.read(key)
        given_root = self.evidence.plan.stages[key].root
        root = images_root(artifact, given_root)
        splits = {part: Split.load(artifact.path / f"{part}.json", root) for part in ("query", "gallery")}
        allowed = self.pictures == "all" or (self.pictures == "rendered" and given_root is None)
        return splits, root if allowed else None

    def _query(self, index: int) -> RankedQuery:
        columns, order = self.scored.columns, self.scored.order(index)
        pid = int(columns["query_pids"][index])
        hits = np.flatnonzero(columns["gallery_pids"][order] == pid)
        gallery = tuple(self._shown("gallery", int(place), pid) for place in order[:TOP])
        ap = float(self.scored.ap[index])
        return RankedQuery(ap, int(hits[0]) + 1 if len(hits) else 0, self._shown("query", index, pid), gallery)

    def _shown(self, part: str, index: int, pid: int) -> Shown:
        columns = self.scored.columns
        own, camid = int(columns[f"{part}_pids"][index]), int(columns[f"{part}_camids"][index])
        name = self.thumbnails.add(self.root / self.splits[part].paths[index]) if self.root else ""
        return Shown(own, camid, own == pid, name)


def _ends(order: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first `count`, and the last `count` in reverse order."""
    return order[:count], order[::-1][:count]
