"""The verifier's own data sets, read by the verifier's own readers: only their labels count."""

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
    """The roots of data sets by name: those that are given, and those that the matrix file has from a variable.

    A place that the file names otherwise is the submitter's and is not looked at. Raises ReidbenchError for the name
    of a data set that the file does not have, and for a folder that is not there.
    """
    named = {one["name"] for one in pack.board["data"] if not one.get("held_out")}  # a part has the root of the whole
    for name, place in given.items():
        if name not in named:
            raise ReidbenchError(f"--root {shown(name)}: the pack has no such data set ({', '.join(sorted(named))})")
        if not place.exists():
            raise ReidbenchError(f"--root {shown(name)}={shown(place)}: it is not there")
    return {**_from_variables(pack.text), **given}


def written_roots(text: str) -> dict[str, str]:
    """The roots of data sets by name, as a matrix file has them; none of a text that is no such file."""
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
    """Data stages made in a store of their own. `plan` is the pack's, with the verifier's roots."""

    def __init__(
        self, plan: Plan, pack: PackContents, roots: Mapping[str, Path], store: Store, registry: Registry
    ) -> None:
        self.pack = pack
        self.roots = roots
        self.store = store
        self.registry = registry
        self.plan = Plan(plan.benchmark, dict(plan.stages), plan.rows)

    def read(self, findings: Findings) -> None:
        """Read every data set that can be read, and compare each with what the pack says of it."""
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
            raise ReidbenchError(f"give its folder, as --root {name}=DIR")
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
            known = numbers or "the counts are the same, so names or contents of files, or the reader's version, differ"
            findings.mismatch(f"{own.label}: your data differ from the pack's: {known}", key)
        elif key not in self.pack.manifests:
            findings.note(f"{own.label}: the pack has no manifest of it")
        elif numbers:
            findings.mismatch(f"{own.label}: the pack's counts are not those of its data: {numbers}", key)
        elif list(claimed.get("protocol", [])) != list(made.manifest.get("protocol", [])):
            findings.mismatch(f"{own.label}: {_words('the pack', claimed)}, {_words('here', made.manifest)}", key)
        elif missing := missing_notes(claimed, made.notes):
            findings.mismatch(f"{own.label}: the pack leaves out the note: {missing[0]}", key)

    def has(self, key: str) -> bool:
        """Whether the data set of that key was read here, with the content that the key says."""
        return self.store.has(key)

    def name_of(self, key: str) -> str:
        """The name of a data set in the matrix file, also for a part that is held out of it."""
        given = (one for stage in self.plan.stages.values() for one in stage.data)
        name = next((one.data for one in given if one.key == key), self.plan.stages[key].label.removeprefix("data "))
        source = self.plan.benchmark.data.get(name)
        return source.origin if source and source.origin else name


def choice_of(kind: str, stage: Stage, registry: Registry) -> Choice:
    """The component of a stage, by the plugins here. Raises ReidbenchError where none takes such parameters."""
    component = registry.get(kind, stage.use)
    try:
        return Choice(kind, component, component.params(**stage.params))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise ReidbenchError(f"{kind} {stage.use} takes no such parameter here: {name}: {first['msg']}") from None


def run_here(spec: StageSpec) -> None:
    """Run a stage in this process. Raises ReidbenchError for whatever it fails with."""
    executor = Inline()
    executor.submit(spec, lambda key, event: None)
    for result in executor.wait():
        if result.status == "failed":
            raise ReidbenchError(result.error)


def missing_notes(claimed: Mapping[str, Any], made: tuple[str, ...] | list[str]) -> list[str]:
    """The notes that were made here and that a manifest does not have; numbers in them may differ."""
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
    return f"{who} says {', '.join(manifest.get('protocol', ())) or 'nothing of its protocol'}"
