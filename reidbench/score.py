"""Score feature files: whoever brings features or distances gets numbers, with the rules they were computed under."""

from __future__ import annotations

import difflib
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reidbench.errors import DataError, ReidbenchError
from reidbench.metrics import (
    MetricError,
    Ranking,
    Report,
    Reranking,
    Rules,
    compare,
    rank,
    rank_blocks,
    rank_distances,
    render,
    rerank_blocks,
)

Ints = NDArray[np.int64]

# Our names, and those of the pytorch_result.mat that Person_reID_baseline_pytorch writes.
LABELS = {
    "query_pids": "query_label",
    "query_camids": "query_cam",
    "gallery_pids": "gallery_label",
    "gallery_camids": "gallery_cam",
}
FEATURES = {"query_features": "query_f", "gallery_features": "gallery_f"}
_KNOWN = {*LABELS, *LABELS.values(), *FEATURES, *FEATURES.values(), "distances"}
_EXACT_FLOAT = 2.0**53
# What zipfile and numpy raise on bytes that are not what they should be; RuntimeError is an encrypted archive.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    MemoryError,
)


@dataclass(frozen=True)
class Features:
    """One feature file: pids and camids (int64 [Q] and [G]), and features [Q, D] and [G, D] or distances [Q, G]."""

    path: Path
    query_pids: Ints
    query_camids: Ints
    gallery_pids: Ints
    gallery_camids: Ints
    query_features: NDArray[Any] | None = None
    gallery_features: NDArray[Any] | None = None
    distances: NDArray[Any] | None = None

    @property
    def labels(self) -> tuple[Ints, Ints, Ints, Ints]:
        """As the ranking functions take them."""
        return self.query_pids, self.query_camids, self.gallery_pids, self.gallery_camids


# ------------------------------------------------------------------------------------------------ reading


def read_features(path: Path | str) -> Features:
    """Read a .npz, .mat or .pt file; nothing in it is executed.

    Raises DataError, one sentence with the file and the key, for whatever is missing, damaged or of another type.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], Mapping[str, Any]]] = {".npz": _npz, ".mat": _mat, ".pt": _pt, ".pth": _pt}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: not a feature file by its name; score reads .npz, .mat and .pt")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    found = reader(path)
    labels = {name: _labels(path, name, _get(path, found, name, other)) for name, other in LABELS.items()}
    if "distances" in found:
        if both := [name for pair in FEATURES.items() for name in pair if name in found]:
            raise DataError(
                f"{path}: holds distances and {both[0]}; keep one of them, so that it is clear what is scored"
            )
        return Features(path, **labels, distances=_matrix(path, "distances", found["distances"]))
    features = {
        name: _matrix(path, name, _get(path, found, name, other, "distances")) for name, other in FEATURES.items()
    }
    return Features(path, **labels, **features)


def _npz(path: Path) -> dict[str, Any]:
    """The arrays score knows, and None for others; read member by member, so that a damaged one is named."""
    found: dict[str, Any] = {}
    member = "its list of arrays"
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                key = member.removesuffix(".npy")
                found[key] = None
                if key in _KNOWN:
                    with archive.open(member) as file:
                        found[key] = np.lib.format.read_array(file, allow_pickle=False)
    except _DAMAGED as error:
        if "allow_pickle" in str(error):
            raise DataError(f"{path}: {member} holds pickled Python objects, which could run code") from error
        raise DataError(
            f"{path}: {member} cannot be read ({_first_line(error)}); save it again with numpy.savez"
        ) from error
    return found


def _mat(path: Path) -> dict[str, Any]:
    import scipy.io

    try:
        found = scipy.io.loadmat(path)
    except NotImplementedError as error:
        raise DataError(f"{path}: a MATLAB 7.3 (HDF5) file; save it with -v7 instead") from error
    except Exception as error:
        raise DataError(f"{path}: not a whole .mat file ({_first_line(error)})") from error
    return {key: value for key, value in found.items() if not key.startswith("__")}


def _pt(path: Path) -> dict[str, Any]:
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataError(
            f"{path}: not a file of plain tensors that torch loads safely ({_first_line(error)})"
        ) from error
    if not isinstance(found, dict):
        raise DataError(f"{path}: holds a {type(found).__name__}, not a dictionary of tensors")
    return {str(key): _array(value) for key, value in found.items()}


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _array(value: Any) -> Any:
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach().cpu()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def _get(path: Path, found: Mapping[str, Any], *names: str) -> Any:
    """The value under the first of the names that is there."""
    for name in names[:2]:
        if name in found:
            return found[name]
    others = [key for key in found if key not in _KNOWN]
    close = difflib.get_close_matches(names[0], others, 1) or difflib.get_close_matches(names[1], others, 1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; it holds {', '.join(sorted(found)) or 'nothing'}"
    raise DataError(f"{path}: key {' or '.join(map(repr, names[:1] + names[2:]))} is missing{hint}")


def _numbers(path: Path, name: str, given: Any) -> NDArray[Any]:
    value: NDArray[Any] = np.asarray(given)
    if value.dtype.kind not in "fiu":
        raise DataError(f"{path}: {name} must hold real numbers, not {value.dtype}")
    return value if value.dtype.isnative else value.astype(value.dtype.newbyteorder("="))


def _matrix(path: Path, name: str, given: Any) -> NDArray[Any]:
    value = _numbers(path, name, given)
    if value.ndim != 2:
        raise DataError(f"{path}: {name} must have two dimensions, not shape {value.shape}")
    return value


def _labels(path: Path, name: str, given: Any) -> Ints:
    """Whole numbers of whatever type they were stored in; MATLAB has 1 x N arrays of doubles."""
    value = _numbers(path, name, given)
    if value.ndim == 2 and 1 in value.shape:
        value = value.ravel()
    if value.ndim != 1:
        raise DataError(f"{path}: {name} must have one dimension, not shape {value.shape}")
    if value.dtype.kind == "f":
        wrong, what = ~(value == np.round(value)) | np.isinf(value), "is not an integer"
        if not wrong.any():
            wrong, what = np.abs(value) > _EXACT_FLOAT, "is beyond the integers that a float holds exactly"
    else:
        wrong, what = value > np.iinfo(np.int64).max, "overflows a 64-bit integer"
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(f"{path}: {name}[{row}] = {value[row]} {what}")
    return np.asarray(value, np.int64)


# ------------------------------------------------------------------------------------------------ scoring


def score(
    paths: Sequence[Path | str],
    rules: Rules | None = None,
    rerank: str | None = None,
    k1: int = 20,
    k2: int = 6,
    lambda_: float = 0.3,
) -> list[Report]:
    """One report for each file, in order.

    `rerank` is zhong, torchreid or fastreid. Raises ReidbenchError: an option that does not exist, a file that is not
    what it should be, or no valid query, with the file's name.
    """
    try:
        how = Reranking(rerank, k1, k2, lambda_) if rerank else None  # type: ignore[arg-type]
    except MetricError as error:
        raise ReidbenchError(str(error)) from error
    return [_score(read_features(path), rules or Rules(), how) for path in paths]


def _score(features: Features, rules: Rules, how: Reranking | None) -> Report:
    try:
        return Report(str(features.path), _rank(features, rules, how), features.query_pids, features.query_camids, how)
    except MetricError as error:
        raise DataError(f"{features.path}: {error}") from error


def _rank(features: Features, rules: Rules, how: Reranking | None) -> Ranking:
    query, gallery = features.query_features, features.gallery_features
    if query is None or gallery is None:
        if how or features.distances is None:
            raise MetricError("re-ranking needs features, and this file holds distances")
        return rank_distances(features.distances, *features.labels, rules)
    q_pids, q_camids, g_pids, g_camids = features.labels
    if not how:
        return rank(query, q_pids, q_camids, gallery, g_pids, g_camids, rules)
    for side, rows, labels in (("query", query, q_pids), ("gallery", gallery, g_pids)):
        if len(rows) != len(labels):
            raise MetricError(f"{side}_features has {len(rows)} rows but {side}_pids has {len(labels)} entries")
    found = rank_blocks(rerank_blocks(query, gallery, how, rules.distance), *features.labels, rules)
    return replace(found, rules=replace(rules, distance="cosine" if how.variant == "zhong" else rules.distance))


def run(
    paths: list[Path],
    *,
    as_json: bool = False,
    ap: str = "step",
    invalid: str = "drop",
    ties: str = "stable",
    distance: str = "cosine",
    camera: bool = True,
    rerank: str | None = None,
    k1: int = 20,
    k2: int = 6,
    lambda_: float = 0.3,
    echo: Callable[[str], Any] = print,
) -> None:
    """`reidbench score`: read, score, compare and echo, as plain text or as one JSON document.

    One file gives the object of its report; several give ``{"reports": [...], "comparisons": [...], "note": ...}``.
    Raises ReidbenchError.
    """
    named = {"ap": ap, "invalid": invalid, "ties": ties, "distance": distance}
    try:
        rules = Rules(camera="market1501" if camera else "none", **named)  # type: ignore[arg-type]
    except MetricError as error:
        raise ReidbenchError(str(error)) from error
    reports = score(paths, rules, rerank, k1, k2, lambda_)
    comparisons, note = compare(reports)
    if not as_json:
        echo(render(reports, comparisons, note))
        return
    if len(reports) == 1:
        found: dict[str, Any] = reports[0].as_dict()
    else:
        found = {
            "reports": [report.as_dict() for report in reports],
            "comparisons": [comparison.as_dict() for comparison in comparisons],
            "note": note,
        }
    echo(json.dumps(found, indent=2, allow_nan=False))
