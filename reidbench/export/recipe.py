"""Matrix file that trains a network again, written from the manifests behind it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import to_jsonable_python

from reidbench.components import ContentHashed, InPlace, NestedKind, Secret
from reidbench.errors import ReidbenchError
from reidbench.matrix.benchmark import ALL_IMAGES, marker
from reidbench.matrix.kinds import OF_STAGE
from reidbench.registry.plugins import Registry

from .lineage import Lineage, Stage

ROLES = ("source", "target", "pool", "auxiliary")
PLACE = "path/to"  # in place of local paths
WIDTH = 110


def recipe(
    registry: Registry, found: Lineage, method: str, tested: Mapping[str, Mapping[str, Any]], *, flip: bool = False
) -> tuple[str, tuple[str, ...]]:
    """Return a matrix file as YAML, and sentences on what it does not contain.

    `tested` is the data set that the row was tested on, by name; if empty, the last one that the network learned from
    takes its place. Local paths are replaced by `path/to/NAME`.
    """
    last = found.steps[-1]
    settings, stage = last.need("settings"), last.need("stage")
    task = _task(found, next(iter(tested), ""))
    data = {name: data_entry(registry, name, one.need("stage")) for name, one in found.named().items()}
    whole: dict[str, Any] = {
        "image_size": list(stage["image_size"]),
        **stage["pictures"],
        "threads": settings["threads"],
        **({"precision": settings["precision"]} if settings["precision"] != "32-true" else {}),
        **({"devices": settings["devices"]} if settings["devices"] != 1 else {}),
        **_seeds(found),
        "data": {**tested, **data} or {task["target"]: _defaults()["target"]},
        "tasks": {f"{task['target']}": task},
        "evaluate": ["cosine"],
        "methods": {method: _method(registry, found) | ({"flip_test": True} if flip else {})},
    }
    text = yaml.safe_dump(whole, sort_keys=False, default_flow_style=None, width=WIDTH, allow_unicode=True)
    return text, tuple(_left_out(found))


def _defaults() -> dict[str, Any]:
    file = resources.files(__package__) / "recipe.yaml"
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


def _seeds(found: Lineage) -> dict[str, Any]:
    """Return the seeds: of steps on a pool, of nested components, and of all others."""
    seeds: dict[str, Any] = {}
    for one in found.nested:
        if one.need("stage", "kind") == "prepare" and one.need("stage", "seed"):
            seeds["prepare_seed"] = one.need("stage", "seed")
    for one in found.steps:
        stage = one.need("stage")
        seeds["pretrain_seeds" if OF_STAGE[stage["kind"]].pretrains else "seeds"] = [stage["seed"]]
    return dict(reversed(seeds.items()))


def _task(found: Lineage, target: str) -> dict[str, Any]:
    """Return the data sets by role."""
    roles: dict[str, list[Any]] = {}
    for stage in found.stages:
        for given in stage["data"]:
            entry = _reference(given)
            if given["role"] in ROLES and entry not in roles.setdefault(given["role"], []):
                roles[given["role"]].append(entry)
    task = {role: several[0] if len(several) == 1 else several for role, several in roles.items()}
    learned = [given["data"] for stage in found.stages for given in stage["data"]]
    task["target"] = target or (roles["target"][0] if "target" in roles else (learned or ["target"])[-1])
    if any(given["part"] == "test" for stage in found.stages for given in stage["data"] if given["role"] == "target"):
        task["adapt_on"] = "test"
    return {role: task[role] for role in (*ROLES, "adapt_on") if role in task}


def _reference(given: Mapping[str, Any]) -> Any:
    more = {"identities": given["identities"]} if given["identities"] is not None else {}
    more |= {"subset_seed": given["subset_seed"]} if more and given["subset_seed"] else {}
    more |= {"images": ALL_IMAGES} if given["part"] == ALL_IMAGES else {}
    return {"use": given["data"], **more} if more else given["data"]


def data_entry(registry: Registry, name: str, stage: Stage) -> dict[str, Any]:
    """Return a data set as under `data`, from its `use`, `params` and `root`."""
    root = {"root": f"{PLACE}/{name}"} if stage["root"] else {}
    return {"use": stage["use"], **root, **changed(registry, "dataset", stage["use"], stage["params"])}


def _method(registry: Registry, found: Lineage) -> dict[str, Any]:
    """Return the steps; network and image settings of a step only if they differ from the last one's."""
    last = found.steps[-1].need("stage")
    entry: dict[str, Any] = {"backbone": _component(registry, "backbone", last["backbone"])} if last["backbone"] else {}
    for artifact in found.steps:
        stage = artifact.need("stage")
        kind = OF_STAGE[stage["kind"]].component
        step = _component(registry, kind, stage)
        if stage["backbone"] and stage["backbone"] != last["backbone"]:
            step["backbone"] = _component(registry, "backbone", stage["backbone"])
        if (stage["image_size"], stage["pictures"]) != (last["image_size"], last["pictures"]):
            step |= {"image_size": list(stage["image_size"]), **stage["pictures"]}
        name = stage["kind"]
        earlier = entry.get(name)
        entry[name] = step if earlier is None else [*(earlier if isinstance(earlier, list) else [earlier]), step]
    return entry if {"finetune", "adapt"} & entry.keys() else {**entry, **_defaults()["method"]}


def _component(registry: Registry, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    return {"use": given["use"], **changed(registry, kind, given["use"], given["params"])}


def changed(registry: Registry, kind: str, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that differ from the defaults, without secrets and local paths.

    All of them if the plugin is gone.
    """
    try:
        fields = registry.get(kind, name).params.model_fields
    except ReidbenchError:
        return dict(params)
    found: dict[str, Any] = {}
    for word, value in params.items():
        info = fields.get(word)
        if info is None or marker(info, Secret) or marker(info, InPlace):
            continue
        if not info.is_required() and to_jsonable_python(info.get_default(call_default_factory=True)) == value:
            continue
        found[word] = _without_paths(value) if marker(info, ContentHashed) else value
        if marker(info, NestedKind) and isinstance(value, Mapping):
            found[word] = _nested(registry, marker(info, NestedKind), value)
    return found


def _nested(registry: Registry, mark: NestedKind, given: Mapping[str, Any]) -> dict[str, Any]:
    kind = next((kind for kind in mark.kinds if given["use"] in registry.names(kind)), mark.kinds[0])
    try:
        fields = registry.get(kind, given["use"]).params.model_fields
    except ReidbenchError:
        return dict(given)
    own = {name: value for name, value in given.items() if name in fields}
    return {name: value for name, value in given.items() if name not in fields} | changed(
        registry, kind, given["use"], own
    )


def _without_paths(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_paths(one) for one in value]
    return value if value is None else f"{PLACE}/{Path(str(value)).name}"


def _left_out(found: Lineage) -> list[str]:
    """Return sentences on settings that the recipe does not repeat."""
    told = []
    if any(one.need("stage").get("held_out") for one in found.data.values()):
        told.append("A part of the training images was held out for validation, which the recipe does not repeat.")
    if any(one.need("stage").get("few") for one in found.data.values()):
        told.append("It was trained in a rehearsal, on a few identities, which the recipe does not repeat.")
    return told
