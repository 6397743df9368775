"""Images without labels: the common base of all splits, and HiddenSplit, which has nothing more."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from reidbench.errors import DataError
from reidbench.files.names import shown, stays_inside

from .morelabels import MORE_LABELS, NO_LABELS, MoreLabels
from .pictures.images import read_encoded, read_image

UNKNOWN_CAMERA = -1  # the camera rule never applies to an unknown camera
# A hidden split's order must not depend on labels. Sorted files are grouped by person, so they are shuffled once.
HIDDEN_ORDER_SEED = 20211126


class Images:
    """Base of both kinds of split: number of images, pixels, cameras, and files joined by name."""

    def __init__(
        self,
        root: Path,
        files: Sequence[str],
        camids: np.ndarray,
        domains: Sequence[str],
        more: MoreLabels = NO_LABELS,
    ) -> None:
        self._root = Path(root)
        self._files = tuple(files)
        self.camids = np.asarray(camids, dtype=np.int64)
        self.domains = tuple(domains)
        self.more = more

    @property
    def clothes(self) -> np.ndarray | None:
        """Outfits of a person by number [N], -1 unknown; None if the set has none or they are hidden."""
        return self.more.clothes

    @property
    def modality(self) -> tuple[str, ...] | None:
        """A word for each image [N], such as "visible", "" unknown; None if the set has none or they are hidden."""
        return self.more.modality

    @property
    def tracklets(self) -> np.ndarray | None:
        """Tracklets by number [N], -1 for an image without one; None if the set has none or they are hidden."""
        return self.more.tracklets

    @property
    def attributes(self) -> Mapping[str, tuple[str, ...]]:
        """Strings [N] by name, "" unknown; empty if the set has none or they are hidden."""
        return self.more.attributes

    def __len__(self) -> int:
        return len(self._files)

    def image(self, index: int) -> np.ndarray:
        """Image `index` as uint8 [height, width, 3], RGB. Raises DataError if it cannot be decoded."""
        return read_image(self._root / self._files[index])

    def _encoded(self, index: int) -> tuple[str, bytes]:
        """(name for messages, bytes of the file), for internal decoders only, never for methods."""
        path = self._root / self._files[index]
        return str(path), read_encoded(path)

    def _rows(self, indices: Sequence[int] | np.ndarray) -> tuple[Path, list[str], np.ndarray, list[str], MoreLabels]:
        """Root, files, camids, domains and further labels of the images at `indices`, in that order."""
        chosen = [int(index) for index in indices]
        files, domains = ([column[index] for index in chosen] for column in (self._files, self.domains))
        return self._root, files, self.camids[chosen], domains, self.more.take(chosen)

    def sidecar(self, folder: str | os.PathLike[str], pattern: str = "{name}", **values: object) -> Sidecar:
        """Files joined to these images by name, for instance `pattern="{stem}_fake_{k}.jpg", k=3`.

        `{name}`, `{stem}` and `{path}` are replaced by the image's file name, the same without its extension, and its
        path under the root. The names themselves are not exposed, since they often contain the identity.
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
        """Whether the file for image `index` exists."""
        return (self._folder / self._names[index]).is_file()

    def missing(self) -> list[int]:
        """Indices of the images without a file."""
        return [index for index in range(len(self)) if not self.exists(index)]

    def image(self, index: int) -> np.ndarray:
        """The file for image `index` as uint8 [height, width, 3]."""
        return read_image(self._folder / self._names[index])


def hidden_order(count: int) -> np.ndarray:
    """Permutation [count] that `Split.hide` applies to a split of `count` images."""
    return np.random.Generator(np.random.PCG64(HIDDEN_ORDER_SEED)).permutation(count)


class HiddenSplit(Images):
    """Unlabelled images, without pids or paths. `ids` are opaque and count from 0.

    Clothes, modality, tracklets and attributes are available only to components that declare them in `protocol`.
    """

    @property
    def ids(self) -> tuple[str, ...]:
        """One opaque name per image, valid as a file name."""
        return tuple(f"{index:07d}" for index in range(len(self)))

    def match(self, names: Sequence[str], by: NameForm = "name") -> np.ndarray:
        """Index of the image that each name matches, [len(names)] int64; -1 if none does.

        Compares file names, stems (names without extension) or whole paths under the root, by 64-bit hashes (8 bytes
        per image) and then by the text itself. Raises DataError for a name that two images share.
        """
        form = NAME_FORMS[by]
        own = np.fromiter(map(hash, map(form, self._files)), dtype=np.int64, count=len(self))
        wanted = np.fromiter(map(hash, map(form, names)), dtype=np.int64, count=len(names))
        order = np.argsort(own, kind="stable")
        own = own[order]
        found = np.full(len(names), -1, dtype=np.int64)
        rows = np.argsort(wanted)  # sorted searches access neighbouring memory
        for row, start in zip(rows.tolist(), np.searchsorted(own, wanted[rows]).tolist(), strict=True):
            name = form(names[row])
            while start < len(own) and own[start] == wanted[row]:
                if form(self._files[order[start]]) == name:
                    if found[row] >= 0:
                        raise DataError(f"{self._root}: two images are named {name}; compare whole paths")
                    found[row] = order[start]
                start += 1
        return found

    def subset(self, indices: Sequence[int] | np.ndarray) -> Self:
        """The images at `indices`, in that order."""
        return type(self)(*self._rows(indices))

    def telling(self, words: AbstractSet[str]) -> HiddenSplit:
        """Return the split without the labels whose word is not among `words` (see MORE_LABELS)."""
        return HiddenSplit(self._root, self._files, self.camids, self.domains, self.more.only(words))

    @classmethod
    def merge(cls, splits: Sequence[HiddenSplit]) -> HiddenSplit:
        """Merge several sets of images into one; cameras of different sets stay different, unknown ones unknown."""
        if len(splits) == 1:
            return splits[0]
        files: list[str] = []
        domains: list[str] = []
        for number, split in enumerate(splits):
            files += [str((split._root / file).absolute()) for file in split._files]
            domains += [f"{number}:{domain}" for domain in split.domains]
        more = MoreLabels.merge([(len(split), split.more) for split in splits])
        return cls(Path(), files, merge_cameras([split.camids for split in splits]), domains, more)

    def save(self, file: Path) -> None:
        """Write the rows as JSON, in this order."""
        rows = {"files": self._files, "camids": self.camids.tolist(), "domains": self.domains, **self.more.columns()}
        file.write_text(json.dumps(rows))

    @classmethod
    def load(cls, file: Path, root: Path) -> HiddenSplit:
        """Read the output of `save`. Raises DataError for any other file, and for a path outside `root`."""
        with reading_rows(file) as rows:
            camids = np.array(rows["camids"], dtype=np.int64)
            more = MoreLabels.of(**{name: rows[name] for name in MORE_LABELS if name in rows})
            split = cls(root, inside(file, rows["files"]), camids, list(map(str, rows["domains"])), more)
            if not camids.shape == (len(split),) == (len(split.domains),) or not more.fits(len(split)):
                raise ValueError("columns of different lengths")
        return split


@contextmanager
def reading_rows(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON object in a file; errors inside the block become a DataError."""
    try:
        rows = json.loads(file.read_text())
        if not isinstance(rows, dict):
            raise ValueError("not a JSON object")
        yield rows
    except (OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        why = shown(str(error) or type(error).__name__)
        raise DataError(f"{shown(file)}: not a list of images saved by a data set: {why}") from None


def inside(file: Path, paths: Sequence[str]) -> Sequence[str]:
    """Return `paths` if all are under the root: a foreign store must not expose other files on this disk."""
    for path in paths:
        if not stays_inside(path):
            raise DataError(f"{shown(file)}: the path {shown(str(path))!r} leaves the data set's folder")
    return paths


def merge_cameras(sets: Sequence[np.ndarray]) -> np.ndarray:
    """Merge the camids of several data sets [N1], [N2], ... into one numbering [N]; unknown cameras stay unknown."""
    merged, first = [], 0
    for camids in sets:
        merged.append(np.where(camids == UNKNOWN_CAMERA, UNKNOWN_CAMERA, camids + first))
        first += int(camids.max(initial=-1)) + 1
    return np.concatenate(merged)


def file_name(file: str) -> str:
    """The last part of a `/`-separated path."""
    return file.rpartition("/")[2]


def file_stem(file: str) -> str:
    """The last part of a path without its extension; a name that is only an extension is unchanged."""
    name = file_name(file)
    return name.rpartition(".")[0] or name


NameForm = Literal["name", "stem", "path"]
NAME_FORMS: dict[NameForm, Callable[[str], str]] = {"name": file_name, "stem": file_stem, "path": str}


def _fill(pattern: str, file: str, values: dict[str, object]) -> str:
    try:
        return pattern.format(name=file_name(file), stem=file_stem(file), path=file, **values)
    except (LookupError, ValueError, AttributeError, TypeError) as error:
        known = ", ".join(("name", "stem", "path", *values))
        raise DataError(f"pattern {shown(pattern)!r}: {shown(str(error))} (known: {known})") from None
