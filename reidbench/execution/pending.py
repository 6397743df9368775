"""Stages of a plan that are missing in a store and have to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reidbench.components import Metric
from reidbench.matrix.stage import Plan, Stage
from reidbench.registry.metrics import stored_fault
from reidbench.stages.inputs import images_root
from reidbench.store.artifact import DamagedArtifact
from reidbench.store.artifacts import Store

Note = Callable[[str], None]


def _say_nothing(text: str) -> None:
    """Ignore a note."""


def pending(plan: Plan, store: Store, note: Note = _say_nothing) -> dict[str, Stage]:
    """Return the stages that have to run so that every row has its result, parents first.

    Parents of a cached stage run only if something else needs them. Damaged results, and image lists whose images are
    gone, are set aside, and `note` receives the reason.
    """
    published = store.keys()
    needed: set[str] = set()
    waiting = list(dict.fromkeys(key for row in plan.rows for key in row.ends))
    declared = {choice.name: choice.component.declared for choice in plan.benchmark.evaluate}
    waiting = [
        key for key in waiting if not _intact(store, key, published, declared.get(plan.stages[key].use, {}), note)
    ]
    while waiting:
        key = waiting.pop()
        if key in needed:
            continue
        needed.add(key)
        waiting += [
            parent
            for parent in plan.reads(key)
            if parent not in published
            or (
                plan.stages[parent].kind == "data"
                and parent in plan.stages[key].needs
                and not _images_there(plan, store, parent, note)
            )
        ]
    return {key: stage for key, stage in plan.stages.items() if key in needed}


def _intact(store: Store, key: str, published: set[str], declared: Mapping[str, Metric], note: Note) -> bool:
    """Return whether a result exists, is intact and within its declared range; any other result is set aside."""
    if key not in published:
        return False
    try:
        fault = stored_fault(store.read(key).manifest.get("metrics"), declared)
        if fault:
            raise DamagedArtifact(key, f"{store.path(key)}: its evaluator returned {fault}")
    except KeyError:  # another driver has set it aside
        return False
    except DamagedArtifact as error:
        store.set_aside(key)
        note(f"{error}; set aside, runs again")
        return False
    return True


def _images_there(plan: Plan, store: Store, key: str, note: Note) -> bool:
    try:
        root = images_root(store.manifest(key), plan.stages[key].root)
        if root.exists():
            return True
        reason = f"{root}: the images are gone"
    except KeyError:
        return False
    except DamagedArtifact as error:
        reason = str(error)
    store.set_aside(key)
    note(f"{reason}; {plan.stages[key].label} is set aside and runs again")
    return False
