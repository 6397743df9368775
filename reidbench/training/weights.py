"""Weights of other projects in and ours out: whose names they use, what matched, and a sidecar that tells the pixels.

Read are checkpoints of MoCo, LUPerson, torchvision, BoT, BDB, MGN, fast-reid, torchreid and SpCL; written are flat
torchvision names as safetensors. A pickle is read with `weights_only=True` and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ..data.names import shown
from ..errors import ReidbenchError
from .backbone import Backbone

ENOUGH = 0.9  # of the backbone's tensors; a checkpoint whose names nobody knew matches none, and trains from scratch
DEEPEST = 8  # containers within each other; one may hold itself
COUNTER = "num_batches_tracked"  # older checkpoints have none, and nothing depends on it
State = dict[str, torch.Tensor]
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Layout:
    """Whose names: (their prefix, torchvision's) pairs, the key that holds the state, a prefix of every name.

    When several of their names stand for one of torchvision's, the first pair is read and all are written.
    `domains` says that batch norm comes in a pair for source and target, of which the target's is read.
    """

    pairs: Pairs
    container: str = ""
    prefix: str = ""
    domains: bool = False

    def flat(self, name: str) -> str | None:
        """Torchvision's name for one of theirs, or None."""
        if self.domains:
            name = name.replace(".BN_T.", ".")
        for theirs, ours in self.pairs:
            if name.startswith(theirs):
                return ours + name[len(theirs) :]
        return None

    def names(self, flat: str) -> list[str]:
        """Their names for one of torchvision's."""
        found = [theirs + flat[len(ours) :] for theirs, ours in self.pairs if flat.startswith(ours)]
        if self.domains and _is_norm(flat):
            stems = [name.rpartition(".") for name in found]
            found = [f"{stem}.{which}.{leaf}" for stem, _, leaf in stems for which in ("BN_S", "BN_T")]
        return [self.prefix + name for name in found]


def _is_norm(flat: str) -> bool:
    stem = flat.rpartition(".")[0]
    return stem.rpartition(".")[2].startswith("bn") or stem.endswith("downsample.1")


def _numbered(stem: str) -> Pairs:
    """A Sequential of a ResNet's children: 0 and 1 are conv1 and bn1, 4 to 7 the stages."""
    stages = tuple((f"{stem}{3 + number}.", f"layer{number}.") for number in range(1, 5))
    return ((f"{stem}0.", "conv1."), (f"{stem}1.", "bn1."), *stages)


def _mgn(stem: str, branch: str) -> Pairs:
    """MGN: shared up to layer3[0], then three branches of the rest of layer3 and of layer4."""
    copies: list[tuple[str, str]] = []
    for number in (1, 2, 3):
        copies += [(f"{branch}{number}.0.{block}.", f"layer3.{block + 1}.") for block in range(35)]
        copies.append((f"{branch}{number}.1.", "layer4."))
    shared = [pair for pair in _numbered(f"{stem}.") if pair[1] not in ("layer3.", "layer4.")]
    return (*shared, (f"{stem}.6.", "layer3.0."), *copies)


LAYOUTS: Mapping[str, Layout] = {
    "torchvision": Layout((("", ""),)),
    "moco": Layout((("encoder_q.", ""), ("encoder_k.", "")), "state_dict", "module."),
    "fast-reid": Layout((("backbone.", ""),), "model"),
    "torchreid": Layout((("", ""),), "state_dict", "module."),
    "bot": Layout((("base.", ""),)),
    "bdb": Layout((*_numbered("backbone.")[:-1], ("res_part.", "layer4.")), "state_dict"),
    "mgn": Layout(_mgn("backone", "p")),  # the reproduction's own spelling
    "mgn-backbone": Layout(_mgn("backbone", "p")),
    "mgn-fast-reid": Layout(_mgn("backbone", "b"), "model"),
    "spcl": Layout(_numbered("base."), "state_dict", "module."),
    "spcl-uda": Layout(_numbered("base."), "state_dict", "module.", domains=True),
}


@dataclass(frozen=True)
class LoadReport:
    """What became of a file: names of the backbone that were loaded or not found, names of the file left over."""

    layout: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    @property
    def share(self) -> float:
        """Matched tensors of the backbone's, counters aside."""
        return len(self.matched) / max(len(self.matched) + len(self.missing), 1)

    def __str__(self) -> str:
        text = f"{self.layout} names: {len(self.matched)} tensors matched, {len(self.missing)} missing"
        return f"{text}, {len(self.unexpected)} of the file unexpected"


def read_state(file: Path) -> State:
    """The tensors of a checkpoint by name, out of their container, without `module.`.

    Raises ReidbenchError for what is no checkpoint, a pickle that would run code, and tensors that are no plain arrays.
    """
    try:
        if file.suffix == ".safetensors":
            content: Any = load_file(file)
        else:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch and safetensors raise many kinds for a file that is not theirs
        raise unreadable(file, error) from None
    for _ in range(DEEPEST):
        inner = _inner(content)
        if inner is None:
            break
        content = inner
    tensors = content.items() if isinstance(content, dict) else ()
    state = {str(name).removeprefix("module."): value for name, value in tensors if isinstance(value, torch.Tensor)}
    require_plain(file, state)
    return state


def _inner(content: Any) -> dict[Any, Any] | None:
    held = [content.get(key) for key in ("state_dict", "model")] if isinstance(content, dict) else []
    return next((inner for inner in held if isinstance(inner, dict)), None)


def unreadable(file: Path, error: Exception) -> ReidbenchError:
    """The sentence about a file that could not be loaded."""
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return ReidbenchError(f"{shown(file)}: cannot be read: {error.strerror}")
    kind = type(error).__name__
    return ReidbenchError(f"{shown(file)}: refused, for it holds more than tensors and plain values ({kind})")


def require_plain(file: str | Path, state: Mapping[str, torch.Tensor]) -> None:
    """Raise ReidbenchError unless all tensors are plain arrays of real numbers that can be copied into a network."""
    for name, tensor in state.items():
        plain = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not plain or tensor.is_complex():
            kind = f"{tensor.dtype}, {tensor.layout}, on {tensor.device}".replace("torch.", "")
            raise ReidbenchError(f"{shown(file)}: {shown(name)} is no plain array of real numbers ({kind})")


def load_weights(backbone: Backbone, state: State, *, layout: str = "auto", where: str = "weights") -> LoadReport:
    """Copy what matches by name and shape into `backbone`; `auto` takes the layout that matches most.

    Raises ReidbenchError, which names what is missing, when less than 90 % of the backbone's tensors matched.
    """
    expected = backbone.state_dict()
    candidates = LAYOUTS if layout == "auto" else {name: LAYOUTS[name] for name in _variants(layout)}
    matches = {name: _match(candidate, state, expected) for name, candidate in candidates.items()}
    best = max(matches, key=lambda name: len(matches[name]))  # of equals the first: plain names before others
    found = {flat: state[name] for flat, name in matches[best].items()}
    used = set(matches[best].values())
    counted = [name for name in expected if not name.endswith(COUNTER)]
    report = LoadReport(
        best,
        tuple(name for name in counted if name in found),
        tuple(name for name in counted if name not in found),
        tuple(name for name in state if name not in used),
    )
    if report.share < ENOUGH:
        examples = f"missing {report.missing[0]}; the file has {', '.join(map(shown, list(state)[:2])) or 'no tensors'}"
        raise ReidbenchError(f"{where}: too little of it fits the backbone; {report} ({examples})")
    backbone.load_state_dict(found, strict=False)
    return report


def _variants(layout: str) -> list[str]:
    """A layout and its spellings: `mgn` is also `mgn-backbone` and `mgn-fast-reid`."""
    return [name for name in LAYOUTS if name == layout or name.startswith(f"{layout}-")]


def _match(layout: Layout, state: State, expected: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Torchvision's name -> name in the file, for tensors of equal shape; the first pair that fits wins."""
    ranks = {theirs: rank for rank, (theirs, _) in enumerate(layout.pairs)}
    found: dict[str, tuple[int, str]] = {}
    for name, tensor in state.items():
        flat = layout.flat(name)
        if flat is None or flat not in expected or expected[flat].shape != tensor.shape:
            continue
        rank = min(rank for theirs, rank in ranks.items() if name.startswith(theirs))
        if flat not in found or rank < found[flat][0]:
            found[flat] = (rank, name)
    return {flat: name for flat, (_, name) in found.items()}


def to_layout(flat: Mapping[str, torch.Tensor], layout: str) -> dict[str, Any]:
    """Flat torchvision names as the dictionary that another project's checkpoint is."""
    chosen = LAYOUTS[layout]
    state = {name: tensor for key, tensor in flat.items() for name in chosen.names(key)}
    return {chosen.container: state, "epoch": 0} if chosen.container else dict(state)


def write_weights(file: Path, backbone: Backbone, **facts: Any) -> None:
    """Write `file` (.safetensors), flat torchvision names without a classifier, and beside it the same name .json.

    The sidecar has the backbone's spec (with its image size), pixel mean and std, and `facts`.
    """
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in backbone.state_dict().items()}
    save_file(state, file)
    file.with_suffix(".json").write_text(json.dumps({**describe(backbone), **facts}))


def describe(backbone: Backbone) -> dict[str, Any]:
    """What a sidecar says: the spec that rebuilds the backbone, and the pixels that it was trained on."""
    return {**getattr(backbone, "spec", {}), "mean": list(backbone.mean), "std": list(backbone.std)}
