"""Folder with a trained network, in the layout of the Hugging Face hub: read without torch, and checked.

`config.json` describes the network, `model.safetensors` has its tensors, and `README.md` is the model card, which is
not read. A folder may come from anywhere: nothing in it is imported or run, and no other file is opened.
"""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Never, TypeGuard

from reidbench.errors import DataError

from .names import shown

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT = "reidbench-network"
VERSION = 1  # of the format
LARGEST_CONFIG = 1 << 20  # bytes
LARGEST_HEADER = 16 << 20  # bytes of the list of tensors
SIDES = 8, 4096  # pixels of an image, minimum and maximum
DEEPEST = 20  # nested lists and maps of a specification
FIELDS = ("format", "format_version", "class", "component", "preprocess", "spec", "capabilities", "labels")
PLAIN = ("component", "spec", "preprocess")  # the fields of config.json that are maps
CURE = "use a folder that `reidbench export --format folder` wrote"


@dataclass(frozen=True)
class NetworkFolder:
    """Description of a network: what rebuilds it, and declarations that only the protocol column shows.

    `name` is the embedder's class as "module:class", compared with the classes of loaded plugins and never imported.
    `trained_by` are kind and name of the component that trained it, and `plugin` is that component's package. `spec`
    has the arguments of the class, with backbones as `{"backbone": {"use", "params", "image_size"}}`, and
    `preprocess` size (height, width), pixel mean and std, and filters. `labels` are the labels behind the weights,
    None if undeclared, and `capabilities` those of the backbone.
    """

    path: Path
    name: str
    trained_by: tuple[str, str]
    plugin: str
    spec: Mapping[str, Any]
    preprocess: Mapping[str, Any]
    capabilities: frozenset[str]
    labels: tuple[str, ...] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)  # versions, key and label of the stage, for people

    @property
    def weights(self) -> Path:
        """The file of the tensors."""
        return self.path / WEIGHTS

    @property
    def backbones(self) -> dict[str, dict[str, Any]]:
        """The described backbones by field of the spec."""
        return {name: value["backbone"] for name, value in self.spec.items() if is_backbone(value)}

    def described(self) -> dict[str, Any]:
        """Return the contents of config.json."""
        kind, component = self.trained_by
        return {
            "format": FORMAT,
            "format_version": VERSION,
            **self.about,
            "component": {"kind": kind, "name": component, "plugin": self.plugin},
            "class": self.name,
            "preprocess": dict(self.preprocess),
            "spec": dict(self.spec),
            "capabilities": sorted(self.capabilities),
            "labels": None if self.labels is None else list(self.labels),
        }


def is_backbone(value: object) -> bool:
    """Return whether a value of a spec describes a backbone."""
    return isinstance(value, Mapping) and "backbone" in value


def read_network(folder: Path) -> NetworkFolder:
    """Return the description in a folder, and check that its tensors can be read.

    Raises DataError, in one sentence, for a missing, foreign, oversized or malformed file, and for a link that leads
    out of the folder.
    """
    if not folder.is_dir():
        raise DataError(f"{shown(folder)}: no such folder")
    place = _own_file(folder, CONFIG)
    given = _json(place)
    if not isinstance(given, dict) or given.get("format") != FORMAT:
        raise DataError(f"{shown(place)}: not the description of a network by reidbench; {CURE}")
    if given.get("format_version") != VERSION:
        raise DataError(f"{shown(place)}: format_version is not {VERSION}; another version of reidbench wrote it")
    if missing := [name for name in FIELDS if name not in given]:
        _wrong(place, f"{missing[0]} is missing")
    found = _described(folder, place, given)
    tensor_shapes(_own_file(folder, WEIGHTS))
    return found


def _described(folder: Path, place: Path, given: dict[str, Any]) -> NetworkFolder:
    for name in PLAIN:
        if not isinstance(given[name], dict):
            _wrong(place, f"{name} must be a map")
    component = given["component"]
    kind, name, plugin = (component.get(word) for word in ("kind", "name", "plugin"))
    words = (kind, name, plugin, given["class"])
    if not all(isinstance(word, str) and 0 < len(word) <= 200 for word in words):
        _wrong(place, "class, and kind, name and plugin of the component, must be short texts")
    _check_depth(place, given["spec"])
    _check_pixels(place, given["preprocess"])
    labels = given["labels"]
    about = {name: value for name, value in given.items() if name not in FIELDS}
    found = NetworkFolder(
        folder, str(given["class"]), (str(kind), str(name)), str(plugin), given["spec"], given["preprocess"],
        frozenset(_words(place, "capabilities", given["capabilities"])),
        None if labels is None else tuple(_words(place, "labels", labels)), about,
    )  # fmt: skip
    if "preprocess" in found.spec or not found.backbones:
        _wrong(place, "spec must describe a backbone, and not preprocess, which is a field of the file")
    for field_name, backbone in found.backbones.items():
        _check_backbone(place, f"spec.{field_name}", found.spec[field_name], backbone)
    return found


def _check_backbone(place: Path, name: str, whole: Mapping[str, Any], backbone: Any) -> None:
    fields = {"use", "params", "image_size"}
    if set(whole) != {"backbone"} or not isinstance(backbone, dict) or set(backbone) != fields:
        _wrong(place, f'{name} must be {{"backbone": {{"use", "params", "image_size"}}}}')
    if not isinstance(backbone["use"], str) or not isinstance(backbone["params"], dict):
        _wrong(place, f"{name}: use must be the name of a backbone, and params a map")
    _check_size(place, f"{name}.image_size", backbone["image_size"])


def _check_pixels(place: Path, given: dict[str, Any]) -> None:
    if unknown := sorted(given.keys() - {"size", "mean", "std", "resize", "resize_test"}):
        _wrong(place, f"preprocess has the unknown field {shown(unknown[0])}")
    _check_size(place, "preprocess.size", given.get("size"))
    for name in ("mean", "std"):
        values = given.get(name)
        if not isinstance(values, list) or len(values) != 3 or not all(_fits(name, value) for value in values):
            _wrong(place, f"preprocess.{name} must be three numbers{', all above 0' if name == 'std' else ''}")
    for name in ("resize", "resize_test"):
        if name in given and given[name] not in ("bilinear", "bicubic"):
            _wrong(place, f"preprocess.{name} must be bilinear or bicubic")


def _check_size(place: Path, name: str, size: Any) -> None:
    least, most = SIDES
    sides = size if isinstance(size, list) and len(size) == 2 else [None]
    if not all(type(side) is int and least <= side <= most for side in sides):
        _wrong(place, f"{name} must be [height, width] in pixels from {least} to {most}")


def _check_depth(place: Path, value: Any, depth: int = 0) -> None:
    if depth > DEEPEST:
        _wrong(place, f"spec is nested more than {DEEPEST} levels deep")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        _check_depth(place, one, depth + 1)


def _fits(name: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return number and (name == "mean" or value > 0)


def _words(place: Path, name: str, given: Any) -> list[str]:
    fine = isinstance(given, list) and len(given) <= 50
    if not fine or not all(isinstance(word, str) and 0 < len(word) <= 80 for word in given):
        _wrong(place, f"{name} must be a list of words")
    return list(dict.fromkeys(given))


def _wrong(place: Path, sentence: str) -> Never:
    raise DataError(f"{shown(place)}: {sentence}; {CURE}")


# ---------------------------------------------------------------------- files
def _own_file(folder: Path, name: str) -> Path:
    """Return a file of the folder. Raises DataError if it is missing, no regular file, or a link out of the folder."""
    file = folder / name
    try:
        target = file.resolve(strict=True)
        regular = stat.S_ISREG(target.stat().st_mode)
        inside = target.is_relative_to(folder.resolve())
    except FileNotFoundError:
        raise DataError(f"{shown(folder)}: has no {name}; {CURE}") from None
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a cycle of links
        why = getattr(error, "strerror", None) or "a link that leads nowhere"
        raise DataError(f"{shown(file)}: cannot be read: {why}") from None
    if not inside:
        raise DataError(
            f"{shown(file)}: a link that leads out of the folder, which is not followed; copy the file itself "
            "(`hf download REPOSITORY --local-dir FOLDER` writes no links)"
        )
    if not regular:
        raise DataError(f"{shown(file)}: not a regular file; {CURE}")
    return file


def _json(file: Path) -> Any:
    content = _start(file, LARGEST_CONFIG + 1)
    if len(content) > LARGEST_CONFIG:
        raise DataError(f"{shown(file)}: larger than {LARGEST_CONFIG} bytes, so it describes no network; {CURE}")
    return _parsed(file, content)


def _parsed(file: Path, content: bytes) -> Any:
    try:
        return json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else shown(str(error))
        raise DataError(f"{shown(file)}: not valid JSON: {why}") from None


def _no_number(text: str) -> Never:
    raise ValueError(f"{text} is not a number of JSON")


def _start(file: Path, count: int) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(count)
    except OSError as error:
        raise DataError(f"{shown(file)}: cannot be read: {error.strerror}") from None


def tensor_shapes(file: Path) -> dict[str, list[int]]:
    """Return the shapes of a safetensors file's tensors by name, from its header.

    Raises DataError for a header that is too long, malformed, or describes more bytes than the file has.
    """
    length = int.from_bytes(_start(file, 8), "little")
    size = file.stat().st_size
    if not 0 < length <= min(LARGEST_HEADER, size - 8):
        raise DataError(
            f"{shown(file)}: its header claims {length} bytes of {size}; not a safetensors file, cut short, or damaged"
        )
    header = _parsed(file, _start(file, 8 + length)[8:])
    if not isinstance(header, dict):
        raise DataError(f"{shown(file)}: its header is not a map of tensors")
    found: dict[str, list[int]] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        shape, places = (entry.get(word) if isinstance(entry, dict) else None for word in ("shape", "data_offsets"))
        if not _are_counts(shape) or not _are_counts(places) or len(places) != 2 or places[1] > size - 8 - length:
            raise DataError(f"{shown(file)}: tensor {shown(name)} is not described, or not all of it is in the file")
        found[name] = list(shape)
    return found


def _are_counts(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)
