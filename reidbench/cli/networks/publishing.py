"""Facts about the row of an exported folder, and the redaction of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reidbench.export.scores import Tested
    from reidbench.store.artifact import Artifact

    from .which import Selected


def tested(chosen: Selected, key: str | None, artifact: Artifact) -> Tested:
    """Return the metrics of a row over its seeds or, for a key, those of the result that it names, if any."""
    from reidbench.export import networks, scores
    from reidbench.export.recipe import data_entry

    registry, store, plan, row = chosen.registry, chosen.store, chosen.plan, chosen.row
    if plan is None or row is None:
        return scores.of_result(registry, store, networks.find(store, key or ""), artifact.need("stage", "use"))
    (task,) = (one for one in plan.benchmark.tasks if one.name == row.task)
    source = plan.benchmark.data[task.tested.name]
    stage = {"use": source.choice.name, "params": source.choice.resolved, "root": source.root}
    return scores.of_row(plan, store, row, {source.name: data_entry(registry, source.name, stage)})


def privacy(chosen: Selected) -> dict[str, Any]:
    """Return functions that redact paths of this machine, and that reject the names of its users and itself."""
    from reidbench.packs.redaction import Redaction, homes, host_names, users

    registry, store = chosen.registry, chosen.store
    if chosen.plan is not None:
        redaction = Redaction.of(chosen.plan, store)
    else:
        known = [(str(store.root.absolute()), "store"), *((folder, "home") for folder in homes())]
        redaction = Redaction(known, {*users(), *host_names()})
    words = frozenset({name for _, name in registry.components} | set(registry.plugins) | {"reidbench"})

    def check(name: str, content: bytes) -> None:
        redaction.check(name, content, words, "the folder")

    return {"redact": redaction.text, "check": check}
