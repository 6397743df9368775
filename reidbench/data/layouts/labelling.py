"""Labels for a user's own images: persons and cameras from their paths, numbered, and split by a rule.

Random choices follow from hashes of the names and the seed: they are the same on every machine and in every version of
every library, which no random generator guarantees.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from reidbench.data.hidden import UNKNOWN_CAMERA
from reidbench.data.split import DISTRACTOR, JUNK
from reidbench.errors import DataError
from reidbench.files.names import shown
from reidbench.files.numbers import whole_number

from .beyond import CLOTHES, TRACKLET, Beyond, beyond, walk_heads
from .naming import Picture, numbered
from .patterns import PathExpression, PathPattern, fill, template_fields

PERSON, CAMERA = "pid", "camid"
_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?% identities")
_NUMBER = re.compile(r"([0-9]{1,15}) identities")


@dataclass(frozen=True)
class Rules:
    """Rules that turn paths into labels. `camera` is a template of fields; `distractors` is a person's name.

    Raises DataError for a pattern without `{pid}`, a camera with unknown fields, and an invalid split.
    """

    pattern: PathPattern | PathExpression
    split: str
    camera: str = ""
    seed: int = 0
    distractors: str | None = None

    def __post_init__(self) -> None:
        names = self.pattern.names
        if PERSON not in names:
            raise DataError(f"pattern {shown(self.pattern.text)}: no field {{pid}}, which is the identity")
        unknown = sorted(template_fields(self.camera) - set(names)) if self.camera else []
        if unknown:
            raise DataError(f"camera {shown(self.camera)}: the pattern has no field {{{unknown[0]}}}")
        self.train_persons(2)  # raises if the split is invalid

    @property
    def template(self) -> str:
        """Template of the camera, from fields; empty if the camera is unknown."""
        return self.camera or (f"{{{CAMERA}}}" if CAMERA in self.pattern.names else "")

    def read(self, path: str) -> Picture | None:
        """Parse a path; None if it does not match, or has an empty person or camera."""
        values = self.pattern.read(path)
        if values is None or not values[PERSON]:
            return None
        camera = fill(self.template, values) if self.template else ""
        if not camera and self.template:
            return None
        own = values.get(CAMERA, "") if f"{{{CAMERA}}}" in self.template else ""
        unknown = UNKNOWN_CAMERA in (whole_number(camera), whole_number(own))
        return Picture(path, values[PERSON], "" if unknown else camera, values)

    def train_persons(self, persons: int) -> int:
        """Number of persons for training, out of `persons`. Raises DataError if the split is invalid."""
        share, number = _SHARE.fullmatch(self.split), _NUMBER.fullmatch(self.split)
        if self.split in ("none", "train"):
            return persons if self.split == "train" else 0
        if share and 0 < Fraction(share[1]) < 100:
            return round(persons * Fraction(share[1]) / 100)
        if number and int(number[1]) > 0:
            return int(number[1])
        raise DataError(f"split {shown(self.split)!r}: expected 'N% identities' or 'N identities' for training, none "
                        "(all for the test) or train (all for training)")  # fmt: skip


@dataclass(frozen=True)
class Labels:
    """Images with their split, in the order of their paths, the numbers of persons and cameras, and notes.

    `rows` are (path, pid, camid, split); camid is -1 if the camera is unknown. `beyond` has the labels beyond identity
    of each row.
    """

    rows: tuple[tuple[str, int, int, str], ...]
    persons: Mapping[str, int]
    cameras: Mapping[str, int]
    notes: tuple[str, ...]
    beyond: Beyond


def label(pictures: Sequence[Picture], rules: Rules) -> Labels:
    """Number persons and cameras, and split the images.

    All images of a tracklet are in one split. Raises DataError if two names have one number, no image has the
    distractors' name, a split leaves no person for training or for the test, no test person has a query, or a modality
    is not a word.
    """
    names = {picture.person for picture in pictures}
    nobody = {name: JUNK for name in names if whole_number(name) == JUNK}
    nobody |= {} if rules.distractors is None else {rules.distractors: DISTRACTOR}
    known = names - nobody.keys()
    if rules.distractors is not None and rules.distractors not in names:
        raise DataError(f"distractors {shown(rules.distractors)!r}: no image has this identity")
    pids = numbered("identity", known, 1) | {name: nobody[name] for name in names - known}
    camids = _cameras(pictures, rules) if rules.template else {}
    train = chosen(known, rules)
    test = known - train
    heads = walk_heads(pictures)
    tested = [one for one in pictures if one.person in test and heads[one.path] == one.path]
    parts, alone = divide(tested, rules.seed)
    if test and "query" not in parts.values():
        raise DataError(f"none of the {len(test)} test identities {_has(rules)[0]}, so there are no queries: "
                        "use --split train, or remove {camid} from the pattern if it is not a camera")  # fmt: skip
    others = "gallery" if test else ""  # distractors cannot be training persons
    placed = [
        (picture, part)
        for picture in pictures
        if (part := "train" if picture.person in train else parts.get(heads[picture.path], others))
    ]
    rows = [(one.path, pids[one.person], camids.get(one.camera, UNKNOWN_CAMERA), part) for one, part in placed]
    more = beyond([picture for picture, _ in placed])
    notes = [*_alone_note(alone, rules), *_left_out_note(len(pictures) - len(rows)), *_camera_notes(pictures, rules),
             *_zero_note(known, pids), *more.notes]  # fmt: skip
    return Labels(tuple(rows), _by_number(pids), _by_number(camids), tuple(notes), more)


def _cameras(pictures: Iterable[Picture], rules: Rules) -> dict[str, int]:
    """Number the known cameras. Raises DataError if two cameras have one text."""
    fields = sorted(template_fields(rules.template))
    values: dict[str, tuple[str, ...]] = {}
    for picture in pictures:
        own = tuple(picture.fields[name] for name in fields)
        if picture.camera and values.setdefault(picture.camera, own) != own:
            both = (
                ", ".join(f"{name} {shown(value)}" for name, value in zip(fields, each, strict=True))
                for each in (values[picture.camera], own)
            )
            raise DataError(
                f"camera {shown(rules.template)}: {shown(picture.camera)!r} is {' and '.join(both)}; separate the "
                "fields by a character that is in neither"
            )
    return numbered("camera", values, 0)


def chosen(persons: set[str], rules: Rules) -> set[str]:
    """Draw the persons for training with the seed. Raises DataError if one side of a split is empty."""
    count = rules.train_persons(len(persons))
    if not persons:
        raise DataError("no image shows an identity: all are junk or distractors")
    if rules.split not in ("none", "train") and not 0 < count < len(persons):
        raise DataError(
            f"split {rules.split!r} of {len(persons)} identities: {min(count, len(persons))} for training, "
            f"{max(len(persons) - count, 0)} for the test; each needs at least one"
        )
    return set(sorted(persons, key=lambda name: draw(rules.seed, "person", name))[:count])


def divide(pictures: Iterable[Picture], seed: int) -> tuple[dict[str, str], list[str]]:
    """Return (query or gallery by path of the test persons, the persons without a query)."""
    seen: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for picture in pictures:
        seen[picture.person][picture.camera].append(picture.path)
    parts: dict[str, str] = {}
    alone = []
    for person, by_camera in seen.items():
        queries = _queries(by_camera, seed)
        alone += [person] * (not queries)
        parts |= {path: "gallery" for paths in by_camera.values() for path in paths}
        parts |= dict.fromkeys(queries, "query")
    return parts, sorted(alone)


def _queries(by_camera: Mapping[str, list[str]], seed: int) -> list[str]:
    """One image per camera, so that every query keeps a match from another camera.

    Images of unknown cameras count as one camera. If no camera is known: one image, if the person has several. If the
    person's images would remain in fewer than two cameras, a camera with a single image gives no query.
    """
    drawn = {camera: min(paths, key=lambda path: draw(seed, "query", path)) for camera, paths in by_camera.items()}
    if drawn.keys() == {""}:  # no camera is known
        return list(drawn.values()) if len(by_camera[""]) > 1 else []
    if len(drawn) < 2:
        return []
    single = sorted(path for camera, path in drawn.items() if len(by_camera[camera]) == 1)
    if len(drawn) - len(single) < 2:
        kept = max(single, key=lambda path: draw(seed, "query", path))
        return [path for path in drawn.values() if path != kept]
    return list(drawn.values())


def draw(seed: int, what: str, name: str) -> bytes:
    """Hash of a name [32 bytes]: the order of these hashes is a draw, the same on every machine."""
    return hashlib.sha256(f"{seed} {what} {name}".encode("utf-8", "surrogateescape")).digest()


def _by_number(numbers: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(numbers.items(), key=lambda item: item[1]))


def _has(rules: Rules) -> tuple[str, str]:
    """Requirement for a query of a test person, and description of the persons who do not meet it."""
    if rules.template:
        return "is seen by two cameras", "are seen by one camera only"
    what = TRACKLET if TRACKLET in rules.pattern.names else "image"
    return f"has two {what}s", f"have one {what} only"


def _alone_note(alone: Sequence[str], rules: Rules) -> list[str]:
    first = ", ".join(map(shown, alone[:3])) + (", ..." if len(alone) > 3 else "")
    told = f"{len(alone)} test identities {_has(rules)[1]}: they have no query, and their images are in the gallery"
    return [f"{told}: {first}"] * (len(alone) > 0)


def _left_out_note(count: int) -> list[str]:
    return [f"{count} images of junk or distractors are left out, since nothing is tested"] * (count > 0)


def _camera_notes(pictures: Sequence[Picture], rules: Rules) -> list[str]:
    """Note a pattern without a camera, unknown cameras, and a camera for which an unused field has several values."""
    if not rules.template:
        return ["the pattern has no {camid}: cameras are unknown, and the camera rule does not apply"]
    used = {PERSON, CLOTHES, TRACKLET, *template_fields(rules.template)}
    unused = [name for name in rules.pattern.names if name not in used]
    unknown = sum(not picture.camera for picture in pictures)
    told = f"{unknown} images have camera -1, an unknown camera: the camera rule does not apply to them"
    notes = [told] * (unknown > 0)
    for name in unused:
        values: dict[str, set[str]] = defaultdict(set)
        for picture in pictures:
            if picture.camera:
                values[picture.camera].add(picture.fields[name])
        several = sorted(camera for camera, found in values.items() if len(found) > 1)
        if several:
            told = " and ".join(shown(value) or "empty" for value in sorted(values[several[0]])[:2])
            notes.append(f"camera {shown(several[0])} is one camera, though {{{name}}} is {told}; if these are "
                         f"different cameras, use --camera '{{{name}}}-{rules.template}'")  # fmt: skip
    return notes


def _zero_note(known: Iterable[str], pids: Mapping[str, int]) -> list[str]:
    zero = next((name for name in known if whole_number(name) == 0), None)
    if zero is None:
        return []
    return [f"identity {zero} is an ordinary identity with pid {pids[zero]}; if it means distractors, use "
            f"--distractors {zero}"]  # fmt: skip
