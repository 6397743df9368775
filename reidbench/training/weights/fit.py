"""Whether a file's tensors are a network's: every way of reading their names, what each leaves out, what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from reidbench.files.names import shown

from .files import DEEPEST, State
from .layouts import READ, Layout, variants

ENOUGH = 0.9  # of the backbone's tensors; a checkpoint whose names nobody knew matches none, and trains from scratch
MOST = 3  # names in a sentence
COUNTER = "num_batches_tracked"  # older checkpoints have none, and nothing depends on it
HEADS = ("fc.", "classifier.", "head.")  # what a whole network has behind the backbone, under the same prefix
WRAPPERS = ("module.", "model.", "net.", "network.", "_orig_mod.")  # prefixes of modules that hold the network


@dataclass(frozen=True)
class LoadReport:
    """What became of a file: names of the backbone that were loaded or not found, names of the file left over.

    `missing` are all tensors of the backbone that were not loaded; `reshaped` are sentences about those of them that
    the file has in another shape; `foreign` are names of the file inside the backbone's own parts, which lack them.
    """

    layout: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Matched tensors of the backbone's, counters aside."""
        return len(self.matched) / max(len(self.matched) + len(self.missing), 1)

    def __str__(self) -> str:
        text = f"{self.layout} names: {len(self.matched)} tensors matched, {len(self.missing)} missing"
        return f"{text}, {len(self.unexpected)} of the file unexpected"

    def notes(self, file: str) -> list[str]:
        """Sentences for the table about weights that were loaded in part; none where every tensor was."""
        told = []
        if self.missing:
            total = len(self.matched) + len(self.missing)
            told.append(
                f"{file} was loaded in part: {len(self.missing)} of the network's {total} tensors keep their initial "
                f"values ({first_names(self.missing)}){other_shapes(self.reshaped)}"
            )
        if self.foreign:
            told.append(
                f"{file} was loaded in part: {len(self.foreign)} of its tensors belong inside the network, which has "
                f"no place for them ({first_names(self.foreign)})"
            )
        return told


def first_names(names: Sequence[str]) -> str:
    """The first names of a list, and that there are more."""
    return ", ".join(map(shown, names[:MOST])) + (", ..." if len(names) > MOST else "")


def other_shapes(reshaped: Sequence[str]) -> str:
    """The part of a sentence about tensors of another shape."""
    more = f" and {len(reshaped) - MOST} more" if len(reshaped) > MOST else ""
    return f"; other shape: {'; '.join(reshaped[:MOST])}{more}" if reshaped else ""


@dataclass(frozen=True)
class Fit:
    """One way to read a file: the network's name -> the file's, for tensors of equal and of another shape.

    `foreign` has torchvision's names for those of the file that the network does not have, by the file's.
    """

    layout: str
    found: dict[str, str]
    reshaped: dict[str, str]
    foreign: dict[str, str]


def fits(state: State, expected: Mapping[str, torch.Tensor], layout: str) -> Iterator[Fit]:
    """All ways to read a file: plain names before others, fewer prefixes taken off before more."""
    candidates = list(READ) if layout == "auto" else variants(layout)
    for names in _unwrapped(list(state)):
        for name in candidates:
            yield _fit(name, READ[name], names, state, expected)


def _unwrapped(full: Sequence[str]) -> Iterator[dict[str, str]]:
    """The file's names -> the same without none, one, two, ... of the wrappers' prefixes, while they stay apart."""
    names = {name: name for name in full}
    for _ in range(DEEPEST):
        yield names
        shorter = {name: without_prefix(short) for name, short in names.items()}
        if shorter == names or len(set(shorter.values())) < len(shorter):
            return
        names = shorter


def without_prefix(name: str, prefixes: Sequence[str] = WRAPPERS) -> str:
    """A name without the first of the prefixes that it has."""
    prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
    return name.removeprefix(prefix)


def _fit(
    title: str, layout: Layout, names: Mapping[str, str], state: State, expected: Mapping[str, torch.Tensor]
) -> Fit:
    """A layout tried on a file; where several of its names stand for one tensor, the first pair that fits wins."""
    ranks = {theirs: rank for rank, (theirs, _) in enumerate(layout.pairs)}
    found: dict[str, tuple[int, str]] = {}
    fit = Fit(title, {}, {}, {})
    for name, short in names.items():
        flat = layout.flat(short)
        if flat is None:
            continue
        if flat not in expected:
            fit.foreign[name] = flat
        elif expected[flat].shape != state[name].shape:
            fit.reshaped.setdefault(flat, name)
        else:
            rank = min(rank for theirs, rank in ranks.items() if short.startswith(theirs))
            if flat not in found or rank < found[flat][0]:
                found[flat] = (rank, name)
    fit.found.update({flat: name for flat, (_, name) in found.items()})
    return fit


def report_of(fit: Fit, state: State, expected: Mapping[str, torch.Tensor]) -> LoadReport:
    used = set(fit.found.values())
    counted = [name for name in expected if not name.endswith(COUNTER)]
    parts = _parts(counted)
    return LoadReport(
        fit.layout,
        tuple(name for name in counted if name in fit.found),
        tuple(name for name in counted if name not in fit.found),
        tuple(name for name in state if name not in used),
        tuple(
            f"{name} is {list(state[fit.reshaped[name]].shape)}, the network has {list(expected[name].shape)}"
            for name in counted
            if name in fit.reshaped and name not in fit.found
        ),
        tuple(name for name, flat in fit.foreign.items() if not flat.endswith(COUNTER) and _inside(fit, flat, parts)),
    )


def _inside(fit: Fit, flat: str, parts: Mapping[str, Sequence[str]]) -> bool:
    """Whether a tensor belongs in the network by its name: in a part of it, or under the prefix of all its names."""
    prefixed = all(theirs for theirs, _ in READ[fit.layout].pairs)
    return bool(_place(flat, parts)) or (prefixed and not flat.startswith(HEADS))


def _parts(names: Sequence[str]) -> dict[str, list[str]]:
    """Stages, blocks and other modules of several layers -> the names of their tensors, outer ones first."""
    inside: dict[str, list[str]] = {}
    for name in names:
        layer = name.split(".")[:-1]
        for depth in range(1, len(layer)):
            inside.setdefault(".".join(layer[:depth]), []).append(name)
    several = [part for part, those in inside.items() if len({name.rpartition(".")[0] for name in those}) > 1]
    return {part: inside[part] for part in sorted(several, key=lambda part: part.count("."))}


def _place(flat: str, parts: Mapping[str, Sequence[str]]) -> str:
    """The innermost part of the network in which a tensor belongs by its name, or ""."""
    around = flat.split(".")[:-1]
    return next((part for end in range(len(around), 0, -1) if (part := ".".join(around[:end])) in parts), "")


def wrong_with(fit: Fit, report: LoadReport, state: State, expected: Mapping[str, torch.Tensor]) -> str:
    """Why a file must not be taken for the network's, even in part, or ""."""
    if not state:
        return "the file has no tensors by name"
    if report.share < ENOUGH:
        examples = f"missing {first_names(report.missing)}; the file has {first_names(list(state))}"
        hints = f"{other_shapes(report.reshaped)}{_prefix_hint(report, state, expected)}"
        return f"too little of it fits the backbone; {report} ({examples}){hints}"
    gone = _gone(report, expected)
    if gone:
        names = f"{', '.join(gone)}{_candidates(gone[0], report, state, expected)}{other_shapes(report.reshaped)}"
        return f"does not fill the backbone: missing {names}; {report}"
    deeper = _deeper(fit, report, expected)
    if deeper:
        return f"has blocks that the network lacks: {first_names(deeper)}; is it the file of a deeper network? {report}"
    return ""


def incomplete(report: LoadReport) -> str:
    """Why a file is not exactly the network's, or ""."""
    count, total = len(report.missing), len(report.matched) + len(report.missing)
    if count:
        first = f"{count} of {total} tensors are missing or of another shape: {first_names(report.missing)}"
        left = f"; left over in the file: {first_names(report.unexpected)}" if report.unexpected else ""
        return f"{first}{left}{other_shapes(report.reshaped)}"
    if report.foreign:
        return (
            f"{len(report.foreign)} tensors belong inside a network that this one is not: {first_names(report.foreign)}"
        )
    return ""


def _gone(report: LoadReport, expected: Mapping[str, torch.Tensor]) -> list[str]:
    """The first layer (a stem, a patch embedding) if it was not found; parts, and layers beside it, if nothing was."""
    missing = set(report.missing)
    first = _first_layer(expected)
    gone = [first] if first in missing else []
    for layer, names in _beside(first, [*report.matched, *report.missing]).items():
        gone += [f"the whole of {layer} ({', '.join(names)})"] if missing.issuperset(names) else []
    covered: list[str] = []
    for part, names in _parts([*report.matched, *report.missing]).items():
        if missing.issuperset(names) and not part.startswith(tuple(f"{outer}." for outer in covered)):
            covered.append(part)
            gone.append(f"the whole of {part} ({len(names)} tensors, first {names[0]})")
    return gone


def _beside(first: str, names: Sequence[str]) -> dict[str, list[str]]:
    """Layers that stand beside the first one, such as a stem's batch norm -> their tensors."""
    stem = first.rpartition(".")[0]
    layers: dict[str, list[str]] = {}
    for name in names:
        layer = name.rpartition(".")[0]
        if layer not in ("", stem) and layer.rpartition(".")[0] == stem.rpartition(".")[0]:
            layers.setdefault(layer, []).append(name)
    return layers


def _first_layer(expected: Mapping[str, torch.Tensor]) -> str:
    """The name of the first convolution, or without one of the first matrix."""
    for least in (4, 2):
        for name, tensor in expected.items():
            if tensor.ndim >= least:
                return name
    return ""


def _candidates(missing: str, report: LoadReport, state: State, expected: Mapping[str, torch.Tensor]) -> str:
    """Tensors of the file that were left over and have the shape of the one that is missing."""
    shape = expected[missing].shape if missing in expected else None
    found = [name for name in report.unexpected if state[name].shape == shape]
    hint = f" (of its shape and left over in the file: {first_names(found)}; rename it there if it is the same)"
    return hint if found else ""


def _deeper(fit: Fit, report: LoadReport, expected: Mapping[str, torch.Tensor]) -> list[str]:
    """Numbered blocks of the file beside those of the network."""
    parts = _parts(list(expected))
    found: dict[str, None] = {}
    for name in report.foreign:
        flat = fit.foreign[name]
        part = _place(flat, parts)
        number = flat.removeprefix(f"{part}.").partition(".")[0]
        if number.isdigit() and not any(name.startswith(f"{part}.{number}.") for name in expected):
            found[f"{part}.{number}"] = None
    return list(found)


def _prefix_hint(report: LoadReport, state: State, expected: Mapping[str, torch.Tensor]) -> str:
    """What to do about a file of which nothing fits because the names of its networks begin with another word."""
    first = _first_layer(expected)
    if not first or first in report.matched:
        return ""
    enough = ENOUGH * (len(report.matched) + len(report.missing))
    ends = [name.removesuffix(first) for name in state if name.endswith(f".{first}")]
    prefixes = [end for end in ends if sum(f"{end}{name}" in state for name in report.missing) >= enough]
    if len(prefixes) > 1:
        return f"; it contains several networks, under the prefixes {first_names(prefixes)}: save one of them alone"
    return f"; its names begin with {shown(prefixes[0])!r}: save them without it" if prefixes else ""
