"""Entries of `tasks:` that expand to several tasks: leave-one-out, all pairs, sequences, published protocols."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from reidbench.matrix.benchmark import DataRef
from reidbench.matrix.families.generalisation import PROTOCOLS, Generalisation

from .checker import guess, kind_word
from .yamlfile import Path_, shown

if TYPE_CHECKING:
    from .tasks import TaskReader

MOST_SETS = 100  # data sets in a list of a family, which expands to up to 10,000 tasks
Test = tuple[tuple[DataRef, ...], DataRef]  # the sources, and the target


@dataclass(frozen=True)
class Family:
    """Kind of family: the keys that select it, and the reader of its tests.

    If `read` reports errors, its return value is ignored.
    """

    keys: tuple[str, ...]
    read: Callable[[TaskReader, Mapping[str, Any], Path_], list[Test]]
    in_order: bool = False


def expanded(group: str, sources: Sequence[DataRef], target: DataRef, in_order: bool) -> str:
    """Return a task name of a family: `dg: plaza+station->crowd`, or `life: plaza>station->crowd` for a sequence."""
    return f"{group}: {('>' if in_order else '+').join(ref.name for ref in sources)}->{target.name}"


def _tested(ref: DataRef) -> DataRef:
    """Return a data set as a target, without restrictions that apply to training."""
    return DataRef(ref.name)


def _sets(reader: TaskReader, given: Mapping[str, Any], key: str, path: Path_, least: int) -> tuple[DataRef, ...]:
    """Return the data sets listed under a key; report a value that is not a list, too short or too long."""
    value, at = given.get(key), (*path, key)
    if not isinstance(value, list):
        said = f"must be a list of data sets, not {kind_word(value)}" if key in given else f"needs `{key}:`"
        reader.check.wrong(at if key in given else path, said)
    elif len(value) < least:
        reader.check.wrong(at, f"needs at least {least} data sets, not {len(value)}")
    elif len(value) > MOST_SETS:
        reader.check.wrong(at, f"lists {len(value)} data sets, more than {MOST_SETS}; split them into several files")
    else:
        return reader.data_refs(value, at)
    return ()


def _leave_one_out(reader: TaskReader, given: Mapping[str, Any], path: Path_) -> list[Test]:
    """Use each data set as target once, with all others as its sources."""
    sets = _sets(reader, given, "leave-one-out", path, 2)
    return [(tuple(ref for ref in sets if ref is not one), _tested(one)) for one in sets]


def _all_pairs(reader: TaskReader, given: Mapping[str, Any], path: Path_) -> list[Test]:
    """Use each data set as source of every other."""
    sets = _sets(reader, given, "all-pairs", path, 2)
    return [((source,), _tested(target)) for source, target in itertools.permutations(sets, 2)]


def _together(reader: TaskReader, given: Mapping[str, Any], path: Path_) -> list[Test]:
    """Use all sources together, for each target.

    All targets may be sources, which is joint training. A mean over seen and unseen targets would be meaningless.
    """
    sources, targets = (_sets(reader, given, key, path, 1) for key in ("sources", "targets"))
    reader.check_whole(targets, (*path, "targets"))
    known = {reader.first[ref.name] for ref in sources}
    seen = [ref.name for ref in targets if reader.first[ref.name] in known]
    if seen and len(seen) < len(targets):
        unseen = next(ref.name for ref in targets if reader.first[ref.name] not in known)
        said = f"{shown(seen[0])} is a source and {shown(unseen)} is not: a mean over seen and unseen is meaningless"
        reader.check.wrong((*path, "targets"), f"{said}; make them two families")
    return [(sources, target) for target in targets]


def _sequence(reader: TaskReader, given: Mapping[str, Any], path: Path_) -> list[Test]:
    """Test the data sets so far after each step, and also the unseen ones after the last step."""
    steps = _sets(reader, given, "sequence", path, 2)
    unseen = _sets(reader, given, "unseen", path, 1) if "unseen" in given else ()
    reader.check_whole(unseen, (*path, "unseen"))
    seen = {reader.first[step.name] for step in steps}
    for ref in unseen:
        if reader.first[ref.name] in seen:
            reader.check.wrong((*path, "unseen"), f"{shown(ref.name)} is in the sequence and therefore seen")
    tests = [(steps[:count], _tested(one)) for count in range(1, len(steps) + 1) for one in steps[:count]]
    return [*tests, *((steps, one) for one in unseen)]


def _protocol(reader: TaskReader, given: Mapping[str, Any], path: Path_) -> list[Test]:
    """Return the tests of a published protocol, with the file's data sets in its roles."""
    name, at = given["protocol"], (*path, "protocol")
    if not isinstance(name, str) or name not in PROTOCOLS:
        near = guess(name, list(PROTOCOLS)) if isinstance(name, str) else ""
        known = f"known: {', '.join(PROTOCOLS)}; `reidbench show protocol NAME` describes each"
        reader.check.wrong(at, f"unknown protocol {reader.check.text(at, name)}{near} ({known})")
        return []
    protocol = PROTOCOLS[name]
    own = _own_sets(reader, protocol, given, path)
    if not all(own.get(role) for role in protocol.roles):
        return []
    return [
        (tuple(replace(own[role][0], images=protocol.images) for role in sources), ref)
        for sources, target in protocol.tests()
        for ref in own[target]
    ]


def _own_sets(
    reader: TaskReader, protocol: Generalisation, given: Mapping[str, Any], path: Path_
) -> dict[str, tuple[DataRef, ...]]:
    """Return the file's data sets for each role of the protocol; a target may be a list of splits."""
    at = (*path, "data")
    said = reader.check.map(given.get("data", {}), at, protocol.roles)
    own = {role: said.get(role, role) for role in protocol.roles}
    missing = [role for role in protocol.roles if role not in said and role not in reader.known]
    if missing:
        cure = f"give `data: {{{missing[0]}: NAME}}` with names of `data`"
        reader.check.wrong(at if "data" in given else path, f"{protocol.name} needs {', '.join(missing)}: {cure}")
        return {}
    found = {role: reader.data_refs(value, (*at, role) if role in said else path) for role, value in own.items()}
    for role, refs in found.items():
        if any(ref != _tested(ref) for ref in refs):
            reader.check.wrong((*at, role), "must be the name of a data set: the protocol determines the images")
        if isinstance(own[role], list) and len(own[role]) != 1 and role in protocol.sources:
            reader.check.wrong((*at, role), "must be one data set")
    names = [reader.first[ref.name] for refs in found.values() for ref in refs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        reader.check.wrong(at, f"{shown(twice)} is used for two data sets of the protocol")
    counts = {role: len(found[role]) for role in protocol.targets}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{role} {count}" for role, count in counts.items())
        reader.check.wrong(
            at, f"needs the same number of splits for each target ({told}): their mean has equal weights"
        )
    return found


FAMILIES = {
    family.keys[0]: family
    for family in (
        Family(("leave-one-out",), _leave_one_out),
        Family(("all-pairs",), _all_pairs),
        Family(("sources", "targets"), _together),
        Family(("sequence", "unseen"), _sequence, in_order=True),
        Family(("protocol", "data"), _protocol),
    )
}
