"""Preview of a run, and of cached results made with other code: nothing runs or is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from reidbench.matrix.benchmark import Benchmark, Choice
from reidbench.matrix.kinds import OF_STAGE
from reidbench.matrix.labels import params_text
from reidbench.matrix.stage import Plan, Row, Stage
from reidbench.registry.plugins import Registry, source_hash
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store
from reidbench.tuning.resolve import Resolved

from . import forecast
from .remaining import Remaining

SAMPLE = 20  # manifests read per component for its mean time: enough for a mean, few enough for a large plan


def preview(plan: Plan, store: Store, registry: Registry, searches: Resolved | None = None) -> dict[str, Any]:
    """Return a preview of a run as JSON values: counts by component, expected seconds, warnings. Changes nothing.

    With `searches`, whose plan this is, stages are those of trials and of rows; a row whose search is unfinished is
    counted with its first trial's values.
    """
    rows, published = plan.rows, store.keys()
    searches = searches if searches and searches.searches else None
    plan, ends = with_trials(plan, searches)
    needed = missing(plan, ends, published)
    groups: dict[tuple[str, str, str], list[str]] = {}
    setups = Setups(plan.benchmark, registry)
    for key, stage in plan.stages.items():
        groups.setdefault((stage.kind, stage.use, setups.of(stage)), []).append(key)
    kinds, seconds, unknown = [], 0.0, 0
    warnings: dict[str, None] = {}
    for (kind, use, setup), keys in groups.items():
        to_run = sum(key in needed for key in keys)
        past = _manifests(store, [key for key in keys if key in published][:SAMPLE])
        timed = [manifest["seconds"] for manifest in past if "seconds" in manifest]
        usual = sum(timed) / len(timed) if timed else None
        if usual is None:
            unknown += to_run
        else:
            seconds += usual * to_run
        sources = {(kind, use): {manifest.get("source", "") for manifest in past}}
        warnings |= dict.fromkeys(changed_code(sources, registry))
        time_text = "" if usual is None else f", {usual:.1f} s each"
        counts = {"stages": len(keys), "to_run": to_run, "time": time_text}
        kinds.append({"kind": kind, "use": use, **counts, "setup": setup})
    never = [row for row in rows if row.key is None and row.lacks == Row.lacks]
    reasons = {f"{row.method} on {row.task}: {row.reason}": None for row in never}
    expected = Remaining(seconds, unknown).words
    return {
        "title": plan.benchmark.title,
        "rows": len(rows),
        "not_applicable": len(never),
        "stages": len(plan.stages),
        "to_run": len(needed),
        "kinds": kinds,
        "expected": expected,
        "held_out": [stage.label.removeprefix("data ") for stage in plan.stages.values() if stage.held_out],
        "reasons": list(reasons),
        "warnings": list(warnings),
        **({"searches": forecast.of_searches(searches, needed)} if searches else {}),
    }


def with_trials(plan: Plan, searches: Resolved | None) -> tuple[Plan, list[str]]:
    """Return the plan with the stages of all known trials, and the keys of the results that a run is to make."""
    if searches is None or not searches.searches:
        return plan, [key for row in plan.rows for key in row.ends]
    whole = Plan(plan.benchmark, {**searches.trials.stages, **searches.likely.stages}, searches.likely.rows)
    ends = [key for row in whole.rows for key in row.ends]
    return whole, [*ends, *(row.key or "" for row in searches.to_run())]


def missing(plan: Plan, ends: Sequence[str], published: Collection[str]) -> set[str]:
    """Return the keys of the missing stages behind these results."""
    needed: set[str] = set()
    waiting = [key for key in ends if key not in published]
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed.add(key)
            waiting += [parent for parent in plan.stages[key].needs if parent not in published]
    return needed


class Setups:
    """Differences of stages from the file's defaults, in words: network and image size."""

    def __init__(self, benchmark: Benchmark, registry: Registry) -> None:
        self.common = benchmark.size.words
        self.backbone = benchmark.backbone
        self.registry = registry
        self._networks: dict[str, str] = {}

    def of(self, stage: Stage) -> str:
        """Return the settings of a stage that differ from the file's; "" if there are none."""
        images = stage.size.words
        own = [self.network(stage.backbone)] if stage.backbone else []
        return ", ".join(filter(None, [*own, f"images {images}" if images != self.common else ""]))

    def network(self, described: dict[str, Any]) -> str:
        """Return a network with its non-default parameters; "" for the file's network."""
        place = repr(described)
        if place not in self._networks:
            name, common = described["use"], self.backbone
            component = self.registry.get("backbone", name)
            changed = Choice("backbone", component, component.params(**described["params"])).changed
            text = f"{name} ({params_text(changed)})" if changed else name
            same = common is not None and described == {"use": common.name, "params": common.resolved}
            self._networks[place] = "" if same else text
        return self._networks[place]


def changed_code(sources: Mapping[tuple[str, str], Collection[str]], registry: Registry) -> list[str]:
    """Return a sentence for each component whose plugin differs from the one that made cached results.

    `sources` are the hashes of plugins, by kind of stage and component. Results of another `version` have other keys
    and are not included.
    """
    found = []
    for (kind, use), hashes in sources.items():
        source = source_hash(registry, OF_STAGE[kind].component, use)
        if source and any(one not in ("", source) for one in hashes):
            found.append(
                f"the code of {kind} {use} has changed since cached results, but its version has not: if the change "
                "can alter results, raise `version` of the component, and its stages run again"
            )
    return found


def _manifests(store: Store, keys: list[str]) -> list[Mapping[str, Any]]:
    found = []
    for key in keys:
        try:
            found.append(store.manifest(key).manifest)
        except (BadArtifact, KeyError):
            continue  # a run would set it aside and run it again
    return found
