"""Features of images, from one network of a store or an ensemble, and the files that contain them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from reidbench.data import UNKNOWN_CAMERA, Split, look_through, read_manifest, walk_images
from reidbench.data.overlap import part_numbers, shared
from reidbench.data.walk import first_names
from reidbench.errors import DataError, ReidbenchError
from reidbench.files.names import shown
from reidbench.registry.plugins import Registry
from reidbench.stages.outputs import joined, more_columns
from reidbench.store.artifacts import Store

from .networks import Member, load
from .places import check_place, written

if TYPE_CHECKING:
    from reidbench.training import Embedder

Arrays = dict[str, Any]
Progress = Callable[[int, int], None]
MOST_OF_MAT = 2**31  # largest matrix in a MATLAB level-5 file, in bytes
MANIFEST = ".csv"
SAY_MODALITY = "give it with --modality, or in the column `modality` of a manifest"
FAULTS = 5  # unreadable images that a note lists with their reasons


def _silent(done: int, total: int) -> None:
    """Show no progress."""


# ---------------------------------------------------------------------- images
def pictures(given: Sequence[Path]) -> list[str]:
    """Return the paths of all images in files and folders, in order. Raises ReidbenchError for a missing path."""
    found: list[str] = []
    for path in given:
        if path.is_dir():
            inside = [(path / name).as_posix() for name in walk_images(path)]
            if not inside:
                raise ReidbenchError(f"{path}: this folder contains no images")
            found += inside
        elif path.is_file():
            found.append(path.as_posix())
        else:
            raise ReidbenchError(f"{path}: no such file or folder")
    return found


def left_out(given: Sequence[Path]) -> list[str]:
    """Return notes on the files in the given folders that `pictures` skips."""
    return [note for path in given if path.is_dir() for note in look_through(path).notes(path.as_posix())]


def manifest_among(given: Sequence[Path]) -> Path | None:
    """Return the manifest among the arguments, or None. Raises ReidbenchError for a manifest with other arguments."""
    found = [path for path in given if path.suffix.lower() == MANIFEST and not path.is_dir()]
    if found and len(given) > 1:
        raise ReidbenchError(
            f"{shown(found[0])}: a manifest must be the only input, but {len(given)} are given; name it alone"
        )
    return found[0] if found else None


def labelled_parts(manifest: Path) -> tuple[dict[str, Split], tuple[str, ...]]:
    """Return query and gallery of a manifest, and notes. Raises DataError for missing parts or images."""
    dataset = read_manifest(manifest)
    parts = {part: split for part, split in dataset.parts().items() if part != "train"}
    if not parts:
        raise DataError(
            f"{shown(manifest)}: no rows with split=query and split=gallery; to embed images without labels, name "
            "the images or their folder instead"
        )
    missing = [path for split in parts.values() for path in split.paths if not (split.root / path).is_file()]
    if missing:
        raise DataError(f"{shown(manifest)}: {len(missing)} of its images are missing: {first_names(missing)}")
    return parts, dataset.notes


class Readable:
    """Images, some of which may be unreadable: these are replaced by black, with their errors by index in `faults`."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self.faults: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.split)

    @property
    def modality(self) -> tuple[str, ...] | None:
        """Modality of each image, if known."""
        return self.split.modality

    def image(self, index: int) -> np.ndarray:
        """Return image `index` as uint8 [height, width, 3]."""
        try:
            return self.split.image(index)
        except DataError as error:
            self.faults[index] = str(error)
            return np.zeros((1, 1, 3), np.uint8)


@dataclass(frozen=True)
class Decoded:
    """One image in memory, uint8 [height, width, 3], with its modality, if known."""

    pixels: np.ndarray
    modality: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return 1

    def image(self, index: int) -> np.ndarray:
        """Return the image."""
        return self.pixels


# ---------------------------------------------------------------------- features
@dataclass(frozen=True)
class Named:
    """Names [N] of images and their features [N, D] float32; `notes` report skipped images."""

    names: list[str]
    features: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass
class Networks:
    """One trained network, or the members of an ensemble. `flip` averages with the features of mirrored images."""

    members: Sequence[Member]
    flip: bool = False
    workers: int = 0  # image-loading threads
    _loaded: list[Embedder] = field(default_factory=list)

    def load(self, store: Store, registry: Registry, modality: str | None = None) -> Networks:
        """Load the networks and return self. Raises ReidbenchError for a `modality` that no network takes."""
        self._loaded = [load(store, member.artifact, registry) for member in self.members]
        if modality and not any(embedder.modalities for embedder in self._loaded):
            raise ReidbenchError(f"modality {shown(modality)}: {self.name} takes no modality; remove the option")
        return self

    @property
    def name(self) -> str:
        """Stages that trained the networks, as text."""
        names = ", ".join(one.name + " with mirrored images" * (self.flip or one.flip) for one in self.members)
        return names if len(self.members) == 1 else f"an ensemble of {len(self.members)}: {names}"

    @property
    def identity(self) -> str:
        """Identifier of the networks, stored in files of their features."""
        return " ".join(f"{one.artifact.key}{'+flip' * (self.flip or one.flip)}" for one in self.members)

    def features(self, split: Split, part: str = "features") -> np.ndarray:
        """Return features [N, D] float32 of all images; `part` names them in errors.

        Raises DataError for an image that cannot be read, or for non-finite features.
        """
        return self._joined(self._computed(split, split), split, np.arange(len(split)), part)

    def readable(self, split: Split, part: str = "features", progress: Progress = _silent) -> Named:
        """Return the readable images with their features. Raises DataError if none can be read.

        Each network calls `progress` with the numbers of embedded and of all images.
        """
        images = Readable(split)
        found = self._computed(images, split, progress)
        kept = np.array([row for row in range(len(split)) if row not in images.faults], dtype=np.int64)
        faults = [images.faults[row] for row in sorted(images.faults)]
        if not len(kept):
            raise DataError(f"none of {len(faults)} images can be read: {'; '.join(faults[:FAULTS])}")
        features = self._joined([one[kept] for one in found], split, kept, part)
        return Named([split.paths[row] for row in kept], features, _unreadable(faults, len(split)))

    def of_pixels(self, pixels: np.ndarray, modality: str | None = None) -> np.ndarray:
        """Return features [D] float32 of one image, uint8 [height, width, 3]. Raises DataError if not finite."""
        split = split_of(["the image"], modality)
        found = self._computed(Decoded(pixels, split.modality), split)
        vector: np.ndarray = self._joined(found, split, np.arange(1), "features")[0]
        return vector

    def _computed(
        self, images: Split | Readable | Decoded, split: Split, progress: Progress = _silent
    ) -> list[np.ndarray]:
        from reidbench.stages.worker import default_device
        from reidbench.training import embed, modality_numbers

        for embedder in self._loaded:
            modality_numbers(embedder, split.modality, "images", SAY_MODALITY)
        settings: Any = {"device": default_device(), "workers": self.workers}
        return [
            embed(embedder, images, split.camids, flip=self.flip or member.flip, progress=progress, **settings)
            for embedder, member in zip(self._loaded, self.members, strict=True)
        ]

    def _joined(self, found: list[np.ndarray], split: Split, kept: np.ndarray, part: str) -> np.ndarray:
        for features in found:
            wrong = np.flatnonzero(~np.isfinite(features).all(1))
            if len(wrong):
                raise DataError(
                    f"the network gives non-finite features, first for {shown(split.paths[kept[wrong[0]]])}"
                )
        return joined(found, part)


def _unreadable(faults: list[str], count: int) -> tuple[str, ...]:
    if not faults:
        return ()
    named = "; ".join(faults[:FAULTS]) + ("; ..." if len(faults) > FAULTS else "")
    return (f"{len(faults)} of {count} images cannot be read and are skipped: {named}",)


def split_of(names: Sequence[str], modality: str | None = None) -> Split:
    """Return images as a split with unknown persons and cameras, all of one modality."""
    unknown = np.full(len(names), UNKNOWN_CAMERA)
    return of_modality(Split.of_columns(Path(), names, unknown, unknown), modality)


def of_modality(split: Split, modality: str | None, where: str = "these images", option: str = "--modality") -> Split:
    """Return the split with one modality for all images. Raises ReidbenchError if it has modality labels."""
    if not modality:
        return split
    if split.modality is not None:
        raise ReidbenchError(f"{where} have a column `modality`; remove {option} {shown(modality)}")
    more = replace(split.more, modality=(modality,) * len(split))
    columns = split.pids, split.camids, split.domains, split.times
    return Split.of_columns(split.root, split.paths, *columns, more=more)


# ---------------------------------------------------------------------- files
def embed_pictures(
    networks: Networks, given: Sequence[Path], out: Path, modality: str | None = None
) -> tuple[str, tuple[str, ...]]:
    """Write `features` [N, D] float32 and `names` [N] of images. Returns a summary and notes.

    `out` is an .npz file or, for MATLAB, a .mat file with the names in a cell array; `reidbench score` reads both.
    Raises ReidbenchError for another extension, before anything is computed.
    """
    write = writer_of(out)
    found = networks.readable(split_of(pictures(given), modality))
    write(out, {"features": found.features, "names": found.names, "network": networks.identity})
    count, dim = found.features.shape
    return f"{count} images, {dim} dimensions", found.notes


def embed_parts(networks: Networks, parts: Mapping[str, Split], out: Path) -> tuple[str, tuple[str, ...]]:
    """Write features, pids, camids and names of a manifest's query and gallery. Returns a summary and notes.

    Array names are `query_features`, `query_pids`, ..., as `reidbench score` reads them, with `query_clothes`,
    `query_modality`, `query_tracklets`, ... if the manifest has such labels. If an image is in both query and gallery,
    `query_images` and `gallery_images` contain the same number for identical images. Raises DataError for an image that
    cannot be read.
    """
    write = writer_of(out)
    arrays: Arrays = {"network": networks.identity}
    for part, split in parts.items():
        arrays |= {f"{part}_features": networks.features(split, f"{part}_features"), f"{part}_names": paths_of(split)}
        arrays |= {f"{part}_pids": split.pids, f"{part}_camids": split.camids}
    more = more_columns(parts)
    arrays |= {name: list(map(str, one)) if one.dtype.kind == "U" else one for name, one in more.items()}
    numbers = {part: part_numbers(split) for part, split in parts.items()}
    both = shared(numbers["query"], numbers["gallery"])
    notes: tuple[str, ...] = ()
    if len(both):
        arrays |= {f"{part}_images": found for part, found in numbers.items()}
        notes = (f"{len(both)} query images are also in the gallery; no query is matched with its own image",)
    write(out, arrays)
    counts = f"{len(parts['query'])} query and {len(parts['gallery'])} gallery images"
    return f"{counts}, {arrays['query_features'].shape[1]} dimensions", notes


def paths_of(split: Split) -> list[str]:
    """Return the paths of a split's images, relative to the working folder."""
    return [(split.root / path).as_posix() for path in split.paths]


def writer_of(out: Path) -> Callable[[Path, Arrays], None]:
    """Return a writer of named arrays and lists of names to `out`. Raises ReidbenchError for another extension."""
    writers = {".npz": _write_npz, ".mat": _write_mat}
    writer = writers.get(out.suffix.lower())
    if writer is None:
        ending = f"unknown extension {shown(out.suffix)}" if out.suffix else "has no extension"
        raise ReidbenchError(f"{shown(out)}: {ending}; use {' or '.join(writers)}")
    check_place(out)

    def write(file: Path, arrays: Arrays) -> None:
        with written(file) as beside, beside.open("wb") as stream:
            writer(stream, arrays)

    return write


def _write_npz(stream: IO[bytes], arrays: Arrays) -> None:
    plain: Arrays = {name: np.array(one) if isinstance(one, list | str) else one for name, one in arrays.items()}
    np.savez(stream, **plain)


def _write_mat(stream: IO[bytes], arrays: Arrays) -> None:
    import scipy.io

    large = max(getattr(value, "nbytes", 0) for value in arrays.values())
    if large > MOST_OF_MAT:
        raise ReidbenchError(f"{large} bytes of features exceed the limit of a .mat file; write an .npz")
    scipy.io.savemat(stream, {name: _cell(one) if isinstance(one, list) else one for name, one in arrays.items()})


def _cell(names: list[str]) -> np.ndarray:
    cell = np.empty((len(names), 1), dtype=object)
    cell[:, 0] = names
    return cell
