"""Named choices behind every number, so that each number can be printed with its rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from reidbench.metrics.errors import MetricError

AveragePrecision = Literal["step", "trapezoid"]
Invalid = Literal["drop", "zero"]
Ties = Literal["stable", "best", "worst"]
Camera = Literal["market1501", "none"]
Distance = Literal["cosine", "euclidean", "given"]
GalleryShots = Literal["all", "single-shot"]
Exclude = Literal["same-clothes", "different-clothes"]
Cross = Literal["modality"]
Pool = Literal["mean", "max"]
ShotsPer = Literal["identity", "identity-and-camera"]
Cmc = Literal["images", "identities"]
CHOICES: Mapping[str, tuple[str, ...]] = {
    "ap": get_args(AveragePrecision),
    "invalid": get_args(Invalid),
    "ties": get_args(Ties),
    "camera": get_args(Camera),
    "distance": get_args(Distance),
    "gallery": get_args(GalleryShots),
    "cross": get_args(Cross),
    "pool": get_args(Pool),
    "shots_per": get_args(ShotsPer),
    "cmc": get_args(Cmc),
}
# Rules that depend on more than pids, cameras and distances: only `rank_labelled` applies them.
LABELLED = ("exclude", "cross", "skip_cameras", "query_cameras", "gallery_cameras", "pool", "multi_query", "shots")
_ALWAYS = ("ap", "invalid", "ties", "camera", "distance", "gallery")
Skips = tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True)
class Rules:
    """Rules that define how a ranking is scored; the defaults are those of torchreid and fast-reid.

    ap: ``step`` averages the precision at each true match (torchreid, fast-reid, scikit-learn >= 0.19); ``trapezoid``
    averages it with the precision just before (Market-1501's MATLAB code, scikit-learn <= 0.18).
    invalid: queries without a true match are dropped from all means, or count as zero (MATLAB).
    ties: gallery rows at equal distance are ordered by index, or true matches come first, or last.
    camera: ``market1501`` removes the gallery rows of a query's own pid and camera; ``none`` keeps them. Camera -1 is
    unknown, and never equal to another.
    distance: distance between features; ``given`` for precomputed distances.
    gallery: ``all`` rows, or CUHK03's classic ``single-shot`` CMC: one drawn row of each pid for each query, averaged
    over `repeats` draws that depend only on `seed` and the query's number. AP and INP stay those of the whole gallery.
    cmc: ``images``, or ``identities``, which counts each gallery identity once, at its first image (SYSU-MM01). AP and
    INP stay over images.

    The other rules require labelled rows and `rank_labelled`:
    exclude: removes the gallery rows of a query's own pid in the ``same-clothes``, or in ``different-clothes``. Rows
    with unknown clothes (-1) stay.
    cross: ``modality`` removes the gallery rows of a query's own modality, with any pid. An unknown modality ("") is
    never equal to another.
    skip_cameras: {camera of queries: cameras of the gallery rows that these are never compared with}, with any pid.
    query_cameras, gallery_cameras: only these cameras take part; empty: all.
    pool: combines the features of the images of one tracklet into one row, by ``mean`` or elementwise ``max``, in query
    and gallery. Images without a tracklet (-1) stay single.
    multi_query: combines query images of one pid and one camera into one query, by `pool` or their mean. Junk and
    images of an unknown camera stay single.
    shots: number of gallery rows drawn per identity, or per `shots_per` ``identity-and-camera`` (camera -1 counts as
    one camera), the same for all queries. The gallery is drawn `repeats` times, by `seed` and the number of the draw;
    all metrics are means over the draws. A pid with fewer rows gives all, distractors (pid 0) are drawn as one
    identity, and junk is never drawn.
    """

    ap: AveragePrecision = "step"
    invalid: Invalid = "drop"
    ties: Ties = "stable"
    camera: Camera = "market1501"
    distance: Distance = "cosine"
    gallery: GalleryShots = "all"
    repeats: int = 10
    seed: int = 0
    cmc: Cmc = "images"
    exclude: tuple[Exclude, ...] = ()
    cross: Cross | None = None
    skip_cameras: Skips = ()
    query_cameras: tuple[int, ...] = ()
    gallery_cameras: tuple[int, ...] = ()
    pool: Pool | None = None
    multi_query: bool = False
    shots: int | None = None
    shots_per: ShotsPer = "identity"

    def __post_init__(self) -> None:
        for name, convert in _CONVERTERS.items():
            object.__setattr__(self, name, convert(name, getattr(self, name)))
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices and not (value is None and name in ("cross", "pool")):
                raise MetricError(f"rule {name}={value!r} is unknown; choose one of {', '.join(choices)}")
        if self.repeats < 1:
            raise MetricError(f"rule repeats={self.repeats} must be at least 1")
        if self.seed < 0:
            raise MetricError(f"rule seed={self.seed} must not be negative")
        if self.shots is not None and self.shots < 1:
            raise MetricError(f"rule shots={self.shots} must be at least 1")
        if fault := self._contradiction():
            raise MetricError(fault)

    def _contradiction(self) -> str:
        if len(self.exclude) > 1:
            return "rule exclude: same-clothes and different-clothes together remove every known true match; choose one"
        if self.gallery == "single-shot" and self.shots is not None:
            return "rules gallery=single-shot and shots both draw galleries; choose one"
        if self.gallery == "single-shot" and self.cmc == "identities":
            return "rule cmc=identities has no effect with gallery=single-shot, which has one row per identity"
        if self.shots is None and self.shots_per != "identity":
            return f"rule shots_per={self.shots_per} has no effect without shots"
        return ""

    @property
    def labelled(self) -> list[str]:
        """The active rules that only `rank_labelled` applies."""
        return [name for name in LABELLED if getattr(self, name) not in (None, (), False)]

    @property
    def draws(self) -> int:
        """Number of galleries drawn and ranked, each for all queries; 1 is the whole gallery."""
        return 1 if self.shots is None else self.repeats

    def as_dict(self) -> dict[str, Any]:
        """JSON values by name. Labelled rules and draws are included only if they have an effect."""
        rules = {name: getattr(self, name) for name in _ALWAYS}
        if self.gallery != "all" or self.shots is not None:
            rules |= {"repeats": self.repeats, "seed": self.seed}
        if self.cmc != "images":
            rules["cmc"] = self.cmc
        rules |= {name: _plain(getattr(self, name)) for name in self.labelled}
        if self.shots is not None:
            rules["shots_per"] = self.shots_per
        if self.skip_cameras:
            rules["skip_cameras"] = {str(camera): list(skipped) for camera, skipped in self.skip_cameras}
        return rules

    def __str__(self) -> str:
        return " ".join(f"{name}={_word(value)}" for name, value in self.as_dict().items())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _word(value: Any) -> str:
    if isinstance(value, dict):
        return ";".join(f"{camera}:{_word(skipped)}" for camera, skipped in value.items())
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _excluded(name: str, given: Any) -> tuple[str, ...]:
    words = (given,) if isinstance(given, str) else tuple(given)
    for word in words:
        if word not in get_args(Exclude):
            raise MetricError(f"rule {name}={word!r} is unknown; choose one of {', '.join(get_args(Exclude))}")
    return tuple(dict.fromkeys(words))


def _cameras(name: str, given: Any) -> tuple[int, ...]:
    if not isinstance(given, Iterable) or isinstance(given, str) or not all(map(_whole, given := list(given))):
        raise MetricError(f"rule {name}={given!r} must be a list of cameras (whole numbers from 0)")
    return tuple(sorted({int(camera) for camera in given}))


def _skips(name: str, given: Any) -> Skips:
    """Normalise {2: [1]}, also from text keys, as in JSON, or pairs."""
    pairs = list(given.items() if isinstance(given, Mapping) else given)
    numbers = [int(camera) if isinstance(camera, str) and camera.isdecimal() else camera for camera, _ in pairs]
    found = {
        camera: _cameras(name, skipped)
        for camera, (_, skipped) in zip(_cameras_in_order(name, numbers), pairs, strict=True)
    }
    empty = [camera for camera, skipped in found.items() if not skipped]
    if empty:
        raise MetricError(f"rule {name} lists no cameras for queries of camera {empty[0]} to skip")
    return tuple(sorted(found.items()))


def _cameras_in_order(name: str, numbers: list[Any]) -> list[int]:
    if len(_cameras(name, numbers)) < len(numbers):
        raise MetricError(f"rule {name} lists a query camera twice")
    return [int(number) for number in numbers]


def _whole(value: Any) -> bool:
    return not isinstance(value, bool) and hasattr(value, "__index__") and int(value) >= 0


_CONVERTERS = {
    "exclude": _excluded,
    "skip_cameras": _skips,
    "query_cameras": _cameras,
    "gallery_cameras": _cameras,
}
