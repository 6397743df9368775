"""Splits: labelled images (Split); HiddenSplit has the same images without labels.

A Split holds columns, not rows: half a million images take some 60 MB, and `samples` are built on request.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reidbench.errors import DataError

from .hidden import (
    UNKNOWN_CAMERA,
    HiddenSplit,
    Images,
    file_name,
    hidden_order,
    inside,
    merge_cameras,
    reading_rows,
)
from .morelabels import MORE_LABELS, NO_LABELS, UNKNOWN, MoreLabels

JUNK = -1  # pid of boxes that are neither right nor wrong: never scored
DISTRACTOR = 0  # pid of people without a query


class Sample(NamedTuple):
    """One image: path relative to the data set's root, pid (-1 junk, 0 distractor), camid from 0 (-1 unknown).

    `clothes`, `modality`, `tracklet` and `attributes` are the labels of a set that has them: see MoreLabels.
    """

    path: str
    pid: int
    camid: int
    domain: str = ""
    time: float | None = None
    clothes: int = UNKNOWN
    modality: str = ""
    tracklet: int = UNKNOWN
    attributes: Mapping[str, str] | None = None


class Split(Images):
    """Labelled images. `paths`, `pids`, `camids`, `domains` are aligned, in the data set's order.

    `clothes`, `modality`, `tracklets` and `attributes` are aligned too, if the set has them (see MoreLabels).
    """

    def __init__(self, root: Path, samples: Sequence[Sample]) -> None:
        super().__init__(
            root,
            [sample.path for sample in samples],
            np.array([sample.camid for sample in samples], dtype=np.int64),
            [sample.domain for sample in samples],
            MoreLabels.of_rows(sample[5:] for sample in samples),
        )
        self.pids = np.array([sample.pid for sample in samples], dtype=np.int64)
        times = tuple(sample.time for sample in samples)
        self.times: tuple[float | None, ...] | None = times if any(time is not None for time in times) else None

    @classmethod
    def of_columns(
        cls,
        root: Path,
        paths: Sequence[str],
        pids: Sequence[int] | np.ndarray,
        camids: Sequence[int] | np.ndarray,
        domains: Sequence[str] | None = None,
        times: Sequence[float | None] | None = None,
        *,
        more: MoreLabels = NO_LABELS,
    ) -> Split:
        """Build from columns of one length, as readers of large folders do."""
        split = cls(root, ())
        Images.__init__(split, root, paths, np.asarray(camids, dtype=np.int64), domains or ("",) * len(paths), more)
        split.pids = np.asarray(pids, dtype=np.int64)
        split.times = tuple(times) if times is not None else None
        if not len(paths) == len(split.pids) == len(split.camids) == len(split.domains):
            raise DataError(f"{root}: {len(paths)} paths, {len(split.pids)} pids, {len(split.camids)} camids")
        if not more.fits(len(paths)):
            raise DataError(f"{root}: {len(paths)} paths, and a different number of {' or '.join(sorted(more.known))}")
        return split

    def with_pids(self, pids: Sequence[int] | np.ndarray) -> Split:
        """The same images with other pids [N]."""
        return Split.of_columns(self.root, self.paths, pids, self.camids, self.domains, self.times, more=self.more)

    def telling(self, words: AbstractSet[str]) -> Split:
        """Return the split without the labels beyond identity whose word is not among `words` (see MORE_LABELS)."""
        columns = self.pids, self.camids, self.domains, self.times
        return (
            Split.of_columns(self.root, self.paths, *columns, more=self.more.only(words)) if self.more.known else self
        )

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The rows, built at each call."""
        times = self.times or (None,) * len(self)
        rows = zip(self._files, self.pids.tolist(), self.camids.tolist(), self.domains, times, strict=True)
        if not self.more.known:
            return tuple(itertools.starmap(Sample, rows))
        return tuple(Sample(*row, *more) for row, more in zip(rows, self.more.rows(len(self)), strict=True))

    @property
    def root(self) -> Path:
        """The folder that `paths` are relative to."""
        return self._root

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths under `root`, separated by `/`."""
        return self._files

    @property
    def num_pids(self) -> int:
        """Number of identities, without junk and distractors."""
        return len(np.unique(self.pids[self.pids > 0]))

    @property
    def num_cameras(self) -> int:
        """Number of cameras, without the unknown one."""
        return len(np.unique(self.camids[self.camids != UNKNOWN_CAMERA]))

    def labels(self) -> np.ndarray:
        """Training labels [N]: identities numbered 0, 1, ... in the order of their pids.

        Raises DataError if junk or distractors are among the images, since they have no class.
        """
        if (self.pids <= 0).any():
            count = int((self.pids <= DISTRACTOR).sum())
            raise DataError(
                f"{self._root}: {count} images without an identity have no class: pid 0 means a distractor and -1 "
                "junk; number identities from 1"
            )
        return np.unique(self.pids, return_inverse=True)[1].astype(np.int64)

    def subset(self, indices: Sequence[int] | np.ndarray) -> Split:
        """The images at `indices`, in that order."""
        chosen = [int(index) for index in indices]
        root, files, camids, domains, more = self._rows(chosen)
        times = None if self.times is None else [self.times[index] for index in chosen]
        return Split.of_columns(root, files, self.pids[chosen], camids, domains, times, more=more)

    def few_identities(self, identities: int | float, seed: int = 0) -> Split:
        """All images of some identities: a number, or a fraction (at least two identities), drawn by `seed`.

        Raises DataError for a number that the split does not have.
        """
        pids = np.unique(self.pids[self.pids > 0])
        if isinstance(identities, float):
            count = min(max(round(identities * len(pids)), 2), len(pids))
        elif identities <= len(pids):
            count = max(identities, 2)
        else:
            raise DataError(
                f"`identities: {identities}` exceeds the {len(pids)} identities of the train part; lower it"
            )
        chosen = np.random.Generator(np.random.PCG64(seed)).permutation(pids)[:count]
        return self.subset(np.flatnonzero(np.isin(self.pids, chosen)))

    def hide(self) -> HiddenSplit:
        """The same images without labels, in an order that reveals nothing about them."""
        return HiddenSplit(*self._rows(hidden_order(len(self))))

    @classmethod
    def merge(cls, splits: Sequence[Split]) -> Split:
        """Merge several training sets into one. Equal pids or cameras of different sets stay different.

        Junk stays junk, distractors stay distractors, and unknown cameras stay unknown.
        """
        if len(splits) == 1:
            return splits[0]
        paths: list[str] = []
        domains: list[str] = []
        times: list[float | None] = []
        merged_pids, first_pid = [], 1
        for number, split in enumerate(splits):
            known = np.unique(split.pids[split.pids > 0])
            ranks = np.searchsorted(known, split.pids) + first_pid
            merged_pids.append(np.where(split.pids > 0, ranks, split.pids))
            first_pid += len(known)
            paths += [str((split.root / path).absolute()) for path in split.paths]
            domains += [f"{number}:{domain}" for domain in split.domains]
            times += split.times or (None,) * len(split)
        camids = merge_cameras([split.camids for split in splits])
        timed = times if any(split.times is not None for split in splits) else None
        more = MoreLabels.merge([(len(split), split.more) for split in splits])
        return cls.of_columns(Path(), paths, np.concatenate(merged_pids), camids, domains, timed, more=more)

    def save(self, file: Path) -> None:
        """Write the columns as JSON, without the root, so that the data may move."""
        columns = {"paths": self._files, "pids": self.pids.tolist(), "camids": self.camids.tolist()}
        columns |= {"domains": self.domains} if any(self.domains) else {}
        columns |= {"times": self.times} if self.times is not None else {}
        columns |= self.more.columns()
        file.write_text(json.dumps(columns))

    @classmethod
    def load(cls, file: Path, root: Path) -> Split:
        """Read the output of `save`, including the older format with rows.

        Raises DataError for any other file, and for a path outside `root`.
        """
        with reading_rows(file) as columns:
            if "samples" in columns:
                split = cls(root, [Sample(*row) for row in columns["samples"]])
            else:
                more = MoreLabels.of(**{name: columns.pop(name) for name in MORE_LABELS if name in columns})
                split = cls.of_columns(root, **columns, more=more)
            if not split.pids.shape == split.camids.shape == (len(split),):
                raise ValueError("columns of different lengths")
            inside(file, split.paths)
        return split


@dataclass(frozen=True)
class BoundTruth:
    """A data set's truth for one split: methods take the image's index in place of its name."""

    truth: Any
    split: Images

    def __getattr__(self, method: str) -> Any:
        function = getattr(self.truth, method)
        return lambda index, *args, **kwargs: function(file_name(self.split._files[index]), *args, **kwargs)
