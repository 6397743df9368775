"""The verifier's own data sets, read by local readers: only their labels count."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from reidbench.errors import ReidbenchError
from reidbench.execution.executors.inline import Inline
from reidbench.files.names import shown
from reidbench.matrix.benchmark import Choice
from reidbench.matrix.keys import content_of, data_key, short
from reidbench.matrix.stage import Plan, Stage
from reidbench.registry.plugins import Registry
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store

from .findings import Findings, PackContents

VARIABLE = "${"


def roots_of(pack: PackContents, given: Mapping[str, Path]) -> dict[str, Path]:
    """Return the roots of data sets by name: given ones, and those that the matrix file takes from a variable.

    Other paths in the file belong to the submitter and are ignored. Raises ReidbenchError for an unknown data set or a
    missing folder.
    """
    named = {
        one["name"] for one in pack.board["data"] if not one.get("held_out")
    }  # a part shares the root of the whole
    for name, place in given.items():
        if name not in named:
            known = ", ".join(sorted(named))
            raise ReidbenchError(f"--root {shown(name)}: the pack has no such data set (known: {known})")
        if not place.exists():
            raise ReidbenchError(f"--root {shown(name)}={shown(place)}: no such folder")
    return {**_from_variables(pack.text), **given}


def written_roots(text: str) -> dict[str, str]:
    """Return the roots of data sets by name in a matrix file; none for an invalid file."""
    try:
        data = yaml.safe_load(text)["data"]
        return {str(name): str(one["root"]) for name, one in data.items() if isinstance(one, dict) and "root" in one}
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _from_variables(text: str) -> dict[str, Path]:
    roots = written_roots(text).items()
    expanded = {name: os.path.expandvars(root) for name, root in roots if VARIABLE in root.partition("/")[0]}
    return {name: Path(root) for name, root in expanded.items() if VARIABLE not in root and Path(root).exists()}


class OwnData:
    """Data stages in a separate store. `plan` is the pack's, with the verifier's roots."""

    def __init__(
        self, plan: Plan, pack: PackContents, roots: Mapping[str, Path], store: Store, registry: Registry
    ) -> None:
        self.pack = pack
        self.roots = roots
        self.store = store
        self.registry = registry
        self.plan = Plan(plan.benchmark, dict(plan.stages), plan.rows)

    def read(self, findings: Findings) -> None:
        """Read all available data sets and compare each with the pack."""
        for key, stage in list(self.plan.stages.items()):
            if stage.kind == "data":
                try:
                    self._read(key, stage, findings)
                except ReidbenchError as error:
                    findings.note(f"{stage.label}: not read here: {error}")

    def _read(self, key: str, stage: Stage, findings: Findings) -> None:
        name = self.name_of(key)
        root = self.roots.get(name)
        if stage.root is not None and root is None:
            raise ReidbenchError(f"name its folder with --root {name}=DIR")
        choice = choice_of("dataset", stage, self.registry)
        own_root = root if stage.root is not None else None
        content = content_of(choice.component, choice.params, own_root)
        own = replace(
            stage,
            key=data_key(choice, content, stage.few, stage.held_out),
            root=None if own_root is None else str(own_root.absolute()),
            content=short(content),
        )
        self.plan.stages[own.key] = own
        run_here(StageSpec.of(self.plan, own, self.store, self.registry.disabled))
        self._compare(key, own, findings)

    def _compare(self, key: str, own: Stage, findings: Findings) -> None:
        made, claimed = self.store.manifest(own.key), self.pack.manifests.get(key, {})
        numbers = _differences(claimed.get("metrics", {}), made.metrics)
        if own.key != key:
            known = numbers or "counts are equal, so names or contents of files, or the reader's version, differ"
            findings.mismatch(f"{own.label}: your data differ from the pack's: {known}", key)
        elif key not in self.pack.manifests:
            findings.note(f"{own.label}: the pack has no manifest of it")
        elif numbers:
            findings.mismatch(f"{own.label}: the pack's counts do not match its data: {numbers}", key)
        elif list(claimed.get("protocol", [])) != list(made.manifest.get("protocol", [])):
            findings.mismatch(f"{own.label}: {_words('the pack', claimed)}, {_words('here', made.manifest)}", key)
        elif missing := missing_notes(claimed, made.notes):
            findings.mismatch(f"{own.label}: the pack omits the note: {missing[0]}", key)

    def has(self, key: str) -> bool:
        """Return whether the data set with this key, and so with its content, was read here."""
        return self.store.has(key)

    def name_of(self, key: str) -> str:
        """Return the name of a data set in the matrix file, also for a held-out part."""
        given = (one for stage in self.plan.stages.values() for one in stage.data)
        name = next((one.data for one in given if one.key == key), self.plan.stages[key].label.removeprefix("data "))
        source = self.plan.benchmark.data.get(name)
        return source.origin if source and source.origin else name


def choice_of(kind: str, stage: Stage, registry: Registry) -> Choice:
    """Return the component of a stage. Raises ReidbenchError if it is not installed or rejects the parameters."""
    component = registry.get(kind, stage.use)
    try:
        return Choice(kind, component, component.params(**stage.params))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise ReidbenchError(f"{kind} {stage.use} rejects the parameter {name}: {first['msg']}") from None


def run_here(spec: StageSpec) -> None:
    """Run a stage in this process. Raises ReidbenchError if it fails."""
    executor = Inline()
    executor.submit(spec, lambda key, event: None)
    for result in executor.wait():
        if result.status == "failed":
            raise ReidbenchError(result.error)


def missing_notes(claimed: Mapping[str, Any], made: tuple[str, ...] | list[str]) -> list[str]:
    """Return the notes made here that a manifest lacks; numbers in notes may differ."""
    there = {_without_numbers(note) for note in claimed.get("notes", ())}
    return [note for note in made if _without_numbers(note) not in there]


def _without_numbers(note: str) -> str:
    return re.sub(r"\d+", "#", note)


def _differences(claimed: Mapping[str, Any], made: Mapping[str, Any]) -> str:
    names = sorted({*claimed, *made})
    return ", ".join(
        f"{name.replace('_', ' ')} {claimed.get(name, 'unknown')}, here {made.get(name, 'none')}"
        for name in names
        if claimed.get(name) != made.get(name)
    )


def _words(who: str, manifest: Mapping[str, Any]) -> str:
    return f"{who} has the protocol {', '.join(manifest.get('protocol', ())) or '(empty)'}"
