"""Features of any pictures, by one network of a store or by several as an ensemble, and the files that hold them."""

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
MOST_OF_MAT = 2**31  # bytes of one matrix, as MATLAB reads files of level 5
MANIFEST = ".csv"
SAY_MODALITY = "say it with --modality, or in the column `modality` of a manifest"
FAULTS = 5  # pictures that a note names with their reasons


# ---------------------------------------------------------------------- which pictures
def pictures(given: Sequence[Path]) -> list[str]:
    """All pictures of files and folders, in order, as they were named. Raises ReidbenchError when one is not there."""
    found: list[str] = []
    for path in given:
        if path.is_dir():
            inside = [(path / name).as_posix() for name in walk_images(path)]
            if not inside:
                raise ReidbenchError(f"{path}: no picture in this folder")
            found += inside
        elif path.is_file():
            found.append(path.as_posix())
        else:
            raise ReidbenchError(f"{path}: no such file or folder")
    return found


def left_out(given: Sequence[Path]) -> list[str]:
    """Sentences about the files in the given folders that `pictures` passes over."""
    return [note for path in given if path.is_dir() for note in look_through(path).notes(path.as_posix())]


def manifest_among(given: Sequence[Path]) -> Path | None:
    """The manifest in place of pictures, or None. Raises ReidbenchError for one beside others."""
    found = [path for path in given if path.suffix.lower() == MANIFEST and not path.is_dir()]
    if found and len(given) > 1:
        raise ReidbenchError(f"{shown(found[0])}: a manifest stands alone, and here are {len(given)} names")
    return found[0] if found else None


def labelled_parts(manifest: Path) -> tuple[dict[str, Split], tuple[str, ...]]:
    """Query and gallery of a manifest, and notes. Raises DataError where it has none, or lacks pictures."""
    dataset = read_manifest(manifest)
    parts = {part: split for part, split in dataset.parts().items() if part != "train"}
    if not parts:
        raise DataError(
            f"{shown(manifest)}: no rows with split=query and split=gallery; to embed pictures without labels, name "
            "the pictures or their folder in its place"
        )
    missing = [path for split in parts.values() for path in split.paths if not (split.root / path).is_file()]
    if missing:
        raise DataError(f"{shown(manifest)}: {len(missing)} of its images are not there: {first_names(missing)}")
    return parts, dataset.notes


class Readable:
    """Pictures of which some may be none: these are black, and `faults` has a sentence on each by its index."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self.faults: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.split)

    @property
    def modality(self) -> tuple[str, ...] | None:
        """The word of each picture's modality, where they are known."""
        return self.split.modality

    def image(self, index: int) -> np.ndarray:
        """Picture `index` as uint8 [height, width, 3]."""
        try:
            return self.split.image(index)
        except DataError as error:
            self.faults[index] = str(error)
            return np.zeros((1, 1, 3), np.uint8)


# ---------------------------------------------------------------------- features
@dataclass(frozen=True)
class Named:
    """Names [N] of pictures and their features [N, D] float32; `notes` are sentences on pictures left out."""

    names: list[str]
    features: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass
class Networks:
    """One trained network, or the members of an ensemble; with `flip` all of them see mirror images too."""

    members: Sequence[Member]
    flip: bool = False
    workers: int = 0  # threads that decode images
    _loaded: list[Embedder] = field(default_factory=list)

    def load(self, store: Store, registry: Registry, modality: str | None = None) -> Networks:
        """The same, ready for use. Raises ReidbenchError for a `modality` that none of the networks takes."""
        self._loaded = [load(store, member.artifact, registry) for member in self.members]
        if modality and not any(embedder.modalities for embedder in self._loaded):
            raise ReidbenchError(f"modality {shown(modality)}: {self.name} takes no modality; leave the option out")
        return self

    @property
    def name(self) -> str:
        """The stages that trained them, for a sentence."""
        names = ", ".join(one.name + " with mirror images" * (self.flip or one.flip) for one in self.members)
        return names if len(self.members) == 1 else f"an ensemble of {len(self.members)}: {names}"

    @property
    def identity(self) -> str:
        """The text that features of the same networks, and no others, carry in their files."""
        return " ".join(f"{one.artifact.key}{'+flip' * (self.flip or one.flip)}" for one in self.members)

    def features(self, split: Split, part: str = "features") -> np.ndarray:
        """Features [N, D] float32 of all pictures; `part` names them in errors.

        Raises DataError for a picture that cannot be read, or whose features are no numbers.
        """
        return self._joined(self._computed(split, split), split, np.arange(len(split)), part)

    def readable(self, split: Split, part: str = "features") -> Named:
        """The pictures that can be read, with their features. Raises DataError where none can."""
        images = Readable(split)
        found = self._computed(images, split)
        kept = np.array([row for row in range(len(split)) if row not in images.faults], dtype=np.int64)
        faults = [images.faults[row] for row in sorted(images.faults)]
        if not len(kept):
            raise DataError(f"no picture can be read, of {len(faults)}: {'; '.join(faults[:FAULTS])}")
        features = self._joined([one[kept] for one in found], split, kept, part)
        return Named([split.paths[row] for row in kept], features, _unreadable(faults, len(split)))

    def _computed(self, images: Split | Readable, split: Split) -> list[np.ndarray]:
        from reidbench.stages.worker import default_device
        from reidbench.training import embed, modality_numbers

        for embedder in self._loaded:
            modality_numbers(embedder, split.modality, "pictures", SAY_MODALITY)
        settings: Any = {"device": default_device(), "workers": self.workers}
        return [
            embed(embedder, images, split.camids, flip=self.flip or member.flip, **settings)
            for embedder, member in zip(self._loaded, self.members, strict=True)
        ]

    def _joined(self, found: list[np.ndarray], split: Split, kept: np.ndarray, part: str) -> np.ndarray:
        for features in found:
            wrong = np.flatnonzero(~np.isfinite(features).all(1))
            if len(wrong):
                raise DataError(f"features that are no numbers, first for {shown(split.paths[kept[wrong[0]]])}")
        return joined(found, part)


def _unreadable(faults: list[str], count: int) -> tuple[str, ...]:
    if not faults:
        return ()
    named = "; ".join(faults[:FAULTS]) + ("; ..." if len(faults) > FAULTS else "")
    return (f"{len(faults)} of {count} pictures cannot be read and are left out: {named}",)


def split_of(names: Sequence[str], modality: str | None = None) -> Split:
    """Pictures by their paths as a split, all of one modality; nothing is known of their persons and cameras."""
    unknown = np.full(len(names), UNKNOWN_CAMERA)
    return of_modality(Split.of_columns(Path(), names, unknown, unknown), modality)


def of_modality(split: Split, modality: str | None, where: str = "these pictures", option: str = "--modality") -> Split:
    """The same pictures, all of one modality. Raises ReidbenchError where they have a modality of their own."""
    if not modality:
        return split
    if split.modality is not None:
        raise ReidbenchError(f"{where} have a column `modality`; leave {option} {shown(modality)} out")
    more = replace(split.more, modality=(modality,) * len(split))
    columns = split.pids, split.camids, split.domains, split.times
    return Split.of_columns(split.root, split.paths, *columns, more=more)


# ---------------------------------------------------------------------- files
def embed_pictures(
    networks: Networks, given: Sequence[Path], out: Path, modality: str | None = None
) -> tuple[str, tuple[str, ...]]:
    """Write `features` [N, D] float32 and `names` [N], as the pictures were named. Returns a sentence, and notes.

    `out` ends in .npz or, for MATLAB, .mat, where the names are a cell; `reidbench score` reads both. Raises
    ReidbenchError for another ending, before anything is computed.
    """
    write = writer_of(out)
    found = networks.readable(split_of(pictures(given), modality))
    write(out, {"features": found.features, "names": found.names, "network": networks.identity})
    count, dim = found.features.shape
    return f"{count} pictures, {dim} numbers each", found.notes


def embed_parts(networks: Networks, parts: Mapping[str, Split], out: Path) -> tuple[str, tuple[str, ...]]:
    """Write features, pids, camids and names of a manifest's query and gallery. Returns a sentence, and notes.

    Names are `query_features`, `query_pids`, ..., as `reidbench score` reads them; with `query_clothes`,
    `query_modality`, `query_tracklets`, ... where the manifest has such labels, and where a picture is in query and
    gallery, also `query_images` and `gallery_images`, which are equal for equal pictures. Raises DataError for a
    picture that cannot be read.
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
        notes = (f"{len(both)} query pictures are in the gallery too; no query is matched with its own picture",)
    write(out, arrays)
    counts = f"{len(parts['query'])} query and {len(parts['gallery'])} gallery pictures"
    return f"{counts}, {arrays['query_features'].shape[1]} numbers each", notes


def paths_of(split: Split) -> list[str]:
    """The paths of a split's pictures, seen from where the command runs."""
    return [(split.root / path).as_posix() for path in split.paths]


def writer_of(out: Path) -> Callable[[Path, Arrays], None]:
    """Writer of named arrays, and lists of names, to a file of this name. Raises ReidbenchError where nothing can."""
    writers = {".npz": _write_npz, ".mat": _write_mat}
    writer = writers.get(out.suffix.lower())
    if writer is None:
        ending = f"ends in {shown(out.suffix)}" if out.suffix else "has no ending"
        raise ReidbenchError(f"{shown(out)}: {ending}; features are written as {' and '.join(writers)}")
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
        raise ReidbenchError(f"{large} bytes of features are more than a .mat file can have; write an .npz")
    scipy.io.savemat(stream, {name: _cell(one) if isinstance(one, list) else one for name, one in arrays.items()})


def _cell(names: list[str]) -> np.ndarray:
    cell = np.empty((len(names), 1), dtype=object)
    cell[:, 0] = names
    return cell
