"""Match a file's tensors with a network's: candidate readings of names, leftovers of each, and errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from reidbench.files.names import shown

from .files import DEEPEST, State
from .layouts import READ, Layout, variants

# share of the backbone's tensors; a checkpoint with unknown names would match none, and training start from scratch
ENOUGH = 0.9
MOST = 3  # names in a sentence
COUNTER = "num_batches_tracked"  # absent in older checkpoints; nothing depends on it
HEADS = ("fc.", "classifier.", "head.")  # a whole network's layers after the backbone, under the same prefix
WRAPPERS = ("module.", "model.", "net.", "network.", "_orig_mod.")  # prefixes of modules that contain the network


@dataclass(frozen=True)
class LoadReport:
    """Result of loading a file: names of the backbone that were loaded or not found, and unused names of the file.

    `missing` are all tensors of the backbone that were not loaded; `reshaped` are sentences about those of them that
    have a different shape in the file; `foreign` are names of the file inside the backbone's parts, which lack them.
    """

    layout: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Share of the backbone's tensors that matched, without counters."""
        return len(self.matched) / max(len(self.matched) + len(self.missing), 1)

    def __str__(self) -> str:
        text = f"{self.layout} names: {len(self.matched)} tensors matched, {len(self.missing)} missing"
        return f"{text}, {len(self.unexpected)} of the file unexpected"

    def notes(self, file: str) -> list[str]:
        """Notes for the table about partly loaded weights; none if every tensor was loaded."""
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
    """The first names of a list, with ", ..." if there are more."""
    return ", ".join(map(shown, names[:MOST])) + (", ..." if len(names) > MOST else "")


def other_shapes(reshaped: Sequence[str]) -> str:
    """Part of a sentence about tensors of a different shape."""
    more = f" and {len(reshaped) - MOST} more" if len(reshaped) > MOST else ""
    return f"; other shape: {'; '.join(reshaped[:MOST])}{more}" if reshaped else ""


@dataclass(frozen=True)
class Fit:
    """One reading of a file: the network's names -> the file's, for tensors of equal and of a different shape.

    `foreign` maps names in the file to torchvision's names that the network does not have.
    """

    layout: str
    found: dict[str, str]
    reshaped: dict[str, str]
    foreign: dict[str, str]


def fits(state: State, expected: Mapping[str, torch.Tensor], layout: str) -> Iterator[Fit]:
    """Yield all readings of a file: plain names before others, fewer removed prefixes before more."""
    candidates = list(READ) if layout == "auto" else variants(layout)
    for names in _unwrapped(list(state)):
        for name in candidates:
            yield _fit(name, READ[name], names, state, expected)


def _unwrapped(full: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield maps from the file's names to names without zero, one, two, ... wrapper prefixes, while unique."""
    names = {name: name for name in full}
    for _ in range(DEEPEST):
        yield names
        shorter = {name: without_prefix(short) for name, short in names.items()}
        if shorter == names or len(set(shorter.values())) < len(shorter):
            return
        names = shorter


def without_prefix(name: str, prefixes: Sequence[str] = WRAPPERS) -> str:
    """A name without the first matching prefix."""
    prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
    return name.removeprefix(prefix)


def _fit(
    title: str, layout: Layout, names: Mapping[str, str], state: State, expected: Mapping[str, torch.Tensor]
) -> Fit:
    """Try a layout on a file; if several of its names mean one tensor, the first pair that fits is used."""
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
    """Whether a tensor belongs to the network by its name: in a part of it, or under the common prefix of its names."""
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
    """Innermost part of the network that a tensor belongs to by its name, or ""."""
    around = flat.split(".")[:-1]
    return next((part for end in range(len(around), 0, -1) if (part := ".".join(around[:end])) in parts), "")


def wrong_with(fit: Fit, report: LoadReport, state: State, expected: Mapping[str, torch.Tensor]) -> str:
    """Reason why a file must not be loaded into the network, even partly, or ""."""
    if not state:
        return "the file has no tensors by name"
    if report.share < ENOUGH:
        examples = f"missing {first_names(report.missing)}; the file has {first_names(list(state))}"
        hints = f"{other_shapes(report.reshaped)}{_prefix_hint(report, state, expected)}"
        return f"too few of its tensors fit the backbone; {report} ({examples}){hints}"
    gone = _gone(report, expected)
    if gone:
        names = f"{', '.join(gone)}{_candidates(gone[0], report, state, expected)}{other_shapes(report.reshaped)}"
        return f"does not fill the backbone: missing {names}; {report}"
    deeper = _deeper(fit, report, expected)
    if deeper:
        return f"has blocks that the network lacks: {first_names(deeper)}; is it the file of a deeper network? {report}"
    return ""


def incomplete(report: LoadReport) -> str:
    """Reason why a file is not exactly the network's, or ""."""
    count, total = len(report.missing), len(report.matched) + len(report.missing)
    if count:
        first = f"{count} of {total} tensors are missing or of a different shape: {first_names(report.missing)}"
        left = f"; left over in the file: {first_names(report.unexpected)}" if report.unexpected else ""
        return f"{first}{left}{other_shapes(report.reshaped)}"
    if report.foreign:
        return f"{len(report.foreign)} tensors belong to a different network:  {first_names(report.foreign)}"
    return ""


def _gone(report: LoadReport, expected: Mapping[str, torch.Tensor]) -> list[str]:
    """The first layer (a stem, a patch embedding) if it was not found; also parts and adjacent layers without any
    match.
    """
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
    """Layers next to the first one, such as a stem's batch norm -> their tensors."""
    stem = first.rpartition(".")[0]
    layers: dict[str, list[str]] = {}
    for name in names:
        layer = name.rpartition(".")[0]
        if layer not in ("", stem) and layer.rpartition(".")[0] == stem.rpartition(".")[0]:
            layers.setdefault(layer, []).append(name)
    return layers


def _first_layer(expected: Mapping[str, torch.Tensor]) -> str:
    """Name of the first convolution, or without one, of the first matrix."""
    for least in (4, 2):
        for name, tensor in expected.items():
            if tensor.ndim >= least:
                return name
    return ""


def _candidates(missing: str, report: LoadReport, state: State, expected: Mapping[str, torch.Tensor]) -> str:
    """Unused tensors of the file with the shape of the missing one."""
    shape = expected[missing].shape if missing in expected else None
    found = [name for name in report.unexpected if state[name].shape == shape]
    hint = f" (of the same shape and unused in the file: {first_names(found)}; if it is the tensor, rename it there)"
    return hint if found else ""


def _deeper(fit: Fit, report: LoadReport, expected: Mapping[str, torch.Tensor]) -> list[str]:
    """Numbered blocks of the file that the network does not have."""
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
    """Suggestion for a file that does not match because its names start with another prefix."""
    first = _first_layer(expected)
    if not first or first in report.matched:
        return ""
    enough = ENOUGH * (len(report.matched) + len(report.missing))
    ends = [name.removesuffix(first) for name in state if name.endswith(f".{first}")]
    prefixes = [end for end in ends if sum(f"{end}{name}" in state for name in report.missing) >= enough]
    if len(prefixes) > 1:
        return f"; it contains several networks, under the prefixes {first_names(prefixes)}: save only one of them"
    return f"; its names begin with {shown(prefixes[0])!r}: save them without it" if prefixes else ""
