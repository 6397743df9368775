"""Splits: rows of images with labels (Split) and rows of images that have none to give (HiddenSplit)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from ..errors import DataError
from .images import read_image

JUNK = -1  # pid of boxes that are neither right nor wrong: never scored
DISTRACTOR = 0  # pid of people who are in no query
# A hidden split's order must not depend on labels; sorted files group by person, so they are shuffled once.
HIDDEN_ORDER_SEED = 20211126


class Sample(NamedTuple):
    """One image: path relative to the data set's root, pid (-1 junk, 0 distractor), camid from 0."""

    path: str
    pid: int
    camid: int
    domain: str = ""
    time: float | None = None


class _Images:
    """What both kinds of split can do: count, read images, tell cameras, join files by name."""

    def __init__(self, root: Path, files: Sequence[str], camids: np.ndarray, domains: Sequence[str]) -> None:
        self._root = Path(root)
        self._files = tuple(files)
        self.camids = np.asarray(camids, dtype=np.int64)
        self.domains = tuple(domains)

    def __len__(self) -> int:
        return len(self._files)

    def image(self, index: int) -> np.ndarray:
        """Picture `index` as uint8 [height, width, 3], RGB. Raises DataError when it cannot be decoded."""
        return read_image(self._root / self._files[index])

    def sidecar(self, folder: str | os.PathLike[str], pattern: str = "{name}", **values: object) -> Sidecar:
        """Files that belong to these images by name, for instance `pattern="{stem}_fake_{k}.jpg", k=3`.

        `{name}`, `{stem}` and `{path}` stand for the image's file name, the same without its ending, and its
        path under the root. The names themselves stay out of reach, since they often tell the identity.
        """
        return Sidecar(Path(folder), [_fill(pattern, file, values) for file in self._files])


class Sidecar:
    """Images joined to a split by file name: `image(i)` belongs to the split's image i."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder = folder
        self._names = tuple(names)

    def __len__(self) -> int:
        return len(self._names)

    def exists(self, index: int) -> bool:
        """Whether the file that belongs to image `index` is there."""
        return (self._folder / self._names[index]).is_file()

    def missing(self) -> list[int]:
        """Indices of the images whose file is not there."""
        return [index for index in range(len(self)) if not self.exists(index)]

    def image(self, index: int) -> np.ndarray:
        """The file that belongs to image `index` as uint8 [height, width, 3]."""
        return read_image(self._folder / self._names[index])


class Split(_Images):
    """Labelled images. `paths`, `pids`, `camids`, `domains` are aligned; the order is the data set's own."""

    def __init__(self, root: Path, samples: Sequence[Sample]) -> None:
        super().__init__(
            root,
            [sample.path for sample in samples],
            np.array([sample.camid for sample in samples], dtype=np.int64),
            [sample.domain for sample in samples],
        )
        self.samples = tuple(samples)
        self.pids = np.array([sample.pid for sample in samples], dtype=np.int64)

    @property
    def root(self) -> Path:
        """The folder that `paths` start from."""
        return self._root

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths under `root`, with `/` between parts."""
        return self._files

    @property
    def num_pids(self) -> int:
        """How many identities there are; junk and distractors are none."""
        return len(np.unique(self.pids[self.pids > 0]))

    @property
    def num_cameras(self) -> int:
        """How many cameras there are."""
        return len(np.unique(self.camids))

    def labels(self) -> np.ndarray:
        """Training labels [N]: identities numbered 0, 1, ... in the order of their pids.

        Raises DataError when junk or distractors are among the images: they have no class.
        """
        if (self.pids <= 0).any():
            raise DataError(f"{self._root}: {int((self.pids <= 0).sum())} images without an identity cannot be classes")
        return np.unique(self.pids, return_inverse=True)[1].astype(np.int64)

    def subset(self, indices: Sequence[int] | np.ndarray) -> Split:
        """The images of the given indices, in that order."""
        return Split(self._root, [self.samples[int(index)] for index in indices])

    def few_identities(self, identities: int | float, seed: int = 0) -> Split:
        """All images of some identities: a number of them, or a fraction (at least two), chosen by `seed`."""
        pids = np.unique(self.pids[self.pids > 0])
        count = round(identities * len(pids)) if isinstance(identities, float) else identities
        count = min(max(count, 2), len(pids))
        chosen = np.random.Generator(np.random.PCG64(seed)).permutation(pids)[:count]
        return self.subset(np.flatnonzero(np.isin(self.pids, chosen)))

    def hide(self) -> HiddenSplit:
        """The same images without labels, in an order that tells nothing."""
        order = hidden_order(len(self))
        return HiddenSplit(
            self._root,
            [self._files[index] for index in order],
            self.camids[order],
            [self.domains[index] for index in order],
        )

    @classmethod
    def merge(cls, splits: Sequence[Split]) -> Split:
        """One training set of several. Equal pids or cameras of different sets stay different."""
        if len(splits) == 1:
            return splits[0]
        merged: list[Sample] = []
        first_pid, first_camid = 1, 0
        for number, split in enumerate(splits):
            pids = {pid: first_pid + rank for rank, pid in enumerate(np.unique(split.pids[split.pids > 0]).tolist())}
            for sample in split.samples:
                merged.append(
                    sample._replace(
                        path=str((split.root / sample.path).absolute()),
                        pid=pids.get(sample.pid, sample.pid),
                        camid=first_camid + sample.camid,
                        domain=f"{number}:{sample.domain}",
                    )
                )
            first_pid += len(pids)
            first_camid += int(split.camids.max(initial=-1)) + 1
        return cls(Path(), merged)

    def save(self, file: Path) -> None:
        """Write the rows as JSON; the root is not among them, so that data may move."""
        file.write_text(json.dumps({"samples": self.samples}))

    @classmethod
    def load(cls, file: Path, root: Path) -> Split:
        """Read what `save` wrote."""
        return cls(root, [Sample(*row) for row in json.loads(file.read_text())["samples"]])


def hidden_order(count: int) -> np.ndarray:
    """The order in which `Split.hide` lays out a split of that many images."""
    return np.random.Generator(np.random.PCG64(HIDDEN_ORDER_SEED)).permutation(count)


class HiddenSplit(_Images):
    """Unlabelled images: there are no pids and no paths here. `ids` are opaque and count from 0."""

    @property
    def ids(self) -> tuple[str, ...]:
        """One opaque name per image, fit for file names."""
        return tuple(f"{index:07d}" for index in range(len(self)))

    def subset(self, indices: Sequence[int] | np.ndarray) -> Self:
        """The images of the given indices, in that order."""
        chosen = [int(index) for index in indices]
        return type(self)(
            self._root,
            [self._files[index] for index in chosen],
            self.camids[chosen],
            [self.domains[index] for index in chosen],
        )

    @classmethod
    def merge(cls, splits: Sequence[HiddenSplit]) -> HiddenSplit:
        """One set of images of several; cameras of different sets stay different."""
        if len(splits) == 1:
            return splits[0]
        files, camids, domains, first_camid = [], [], [], 0
        for number, split in enumerate(splits):
            files += [str((split._root / file).absolute()) for file in split._files]
            camids.append(split.camids + first_camid)
            domains += [f"{number}:{domain}" for domain in split.domains]
            first_camid += int(split.camids.max(initial=-1)) + 1
        return cls(Path(), files, np.concatenate(camids), domains)

    def save(self, file: Path) -> None:
        """Write the rows as JSON, in this order."""
        rows = {"files": self._files, "camids": self.camids.tolist(), "domains": self.domains}
        file.write_text(json.dumps(rows))

    @classmethod
    def load(cls, file: Path, root: Path) -> HiddenSplit:
        """Read what `save` wrote."""
        rows = json.loads(file.read_text())
        return cls(root, rows["files"], np.array(rows["camids"], dtype=np.int64), rows["domains"])


@dataclass(frozen=True)
class BoundTruth:
    """A data set's truth for one split: every call takes the image's index where the data set takes its name."""

    truth: Any
    split: _Images

    def __getattr__(self, method: str) -> Any:
        function = getattr(self.truth, method)
        return lambda index, *args, **kwargs: function(_name(self.split._files[index]), *args, **kwargs)


def _name(file: str) -> str:
    return file.rpartition("/")[2]


def _fill(pattern: str, file: str, values: dict[str, object]) -> str:
    name = _name(file)
    return pattern.format(name=name, stem=name.rpartition(".")[0] or name, path=file, **values)
