"""A stage that uses no seed is one stage for all seeds; every other one keeps the key that it had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reidbench import report
from reidbench.components import Component, Params, Uses, load_attribute
from reidbench.data import fingerprint_folder
from reidbench.data.pictures.size import ImageSize
from reidbench.data.standin import MARK
from reidbench.execution.preview import preview
from reidbench.matrix import plan
from reidbench.matrix.benchmark import Choice
from reidbench.matrix.keys import Keys, content_of
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry.plugins import Registry
from reidbench.store.artifacts import Store
from reidbench.testing import write_market_folder

SEEDLESS = frozenset({"seedless"})
LABEL_FREE = frozenset({"label-free"})
POOLED = "{t: {source: tiny, target: tiny, pool: tiny}}"


class StyleParams(Params):
    style: Uses["preparer", "target"]  # type: ignore[type-arg]


class ProxyParams(Params):
    proxy: Uses["pretrainer", "pool"]  # type: ignore[type-arg]


COMPONENTS = [
    ("backbone", Component("loaded", "m:f", traits=SEEDLESS)),
    ("selector", Component("best-half", "m:f", traits=SEEDLESS)),
    ("selector", Component("proxied", "m:f", ProxyParams, traits=SEEDLESS)),
    ("pretrainer", Component("moco", "m:f")),
    ("pretrainer", Component("as-it-is", "m:f", traits=SEEDLESS)),
    ("preparer", Component("drawn", "m:f")),
    ("preparer", Component("copied", "m:f", traits=SEEDLESS)),
    ("finetuner", Component("trained", "m:f")),
    ("finetuner", Component("keep", "m:f", traits=SEEDLESS | LABEL_FREE)),
    ("finetuner", Component("colours", "m:f", traits=SEEDLESS | LABEL_FREE | {"backbone-free"})),
    ("adapter", Component("statistics", "m:f", traits=SEEDLESS)),
    ("adapter", Component("styled", "m:f", StyleParams)),
]
Expand = Callable[..., Plan]


@pytest.fixture
def expand(matrix: Callable[..., Path]) -> Expand:
    """The plan of methods over seeds 0, 1, 2 and pre-training seeds 0, 1."""
    from reidbench.registry import plugins

    registry = plugins.load()
    registry.add("toys", COMPONENTS)

    def expanded(methods: str, *overrides: str, changed: Registry = registry, **parts: str) -> Plan:
        parts = {"seeds": "[0, 1, 2]", "pretrain_seeds": "[0, 1]", "tasks": POOLED, **parts}
        return plan.expand(reader.read(matrix(methods=methods, **parts), changed, overrides))

    return expanded


def kinds(found: Plan) -> dict[str, int]:
    return dict(Counter(stage.kind for stage in found.stages.values() if stage.kind != "data"))


def seeds(found: Plan, method: str = "m") -> list[tuple[int | None, int | None]]:
    return [(row.seed, row.pretrain_seed) for row in found.rows if row.method == method]


ONCE = {"finetune": 1, "embed": 1, "evaluate": 1}


def test_what_draws_nothing_runs_once_for_all_seeds(expand: Expand) -> None:
    found = expand("{m: {finetune: colours}}")
    assert kinds(found) == ONCE
    assert seeds(found) == [(None, None)]
    for other in ("seeds=[0]", "seeds=[7]"):
        assert expand("{m: {finetune: colours}}", other).stages.keys() == found.stages.keys()


def test_a_fresh_network_is_drawn_and_one_from_a_file_is_not(expand: Expand) -> None:
    assert seeds(expand("{m: {finetune: keep}}")) == [(0, None), (1, None), (2, None)]
    loaded = expand("{m: {finetune: keep}}", backbone="loaded")
    assert (kinds(loaded), seeds(loaded)) == (ONCE, [(None, None)])


def test_after_a_pretraining_it_runs_once_for_each_of_its_seeds(expand: Expand) -> None:
    found = expand("{m: {pretrain: moco, finetune: keep, adapt: statistics}}")
    assert kinds(found) == {"pretrain": 2, "finetune": 2, "adapt": 2, "embed": 2, "evaluate": 2}
    assert seeds(found) == [(None, 0), (None, 1)]
    assert all(row.pretrained for row in found.rows)


def test_after_what_uses_the_seed_it_keeps_the_seed_and_the_key(expand: Expand) -> None:
    found = expand("{m: {finetune: trained, adapt: statistics}}")
    assert seeds(found) == [(0, None), (1, None), (2, None)]
    assert sorted(stage.seed for stage in found.stages.values() if stage.kind == "adapt") == [0, 1, 2]


def test_what_follows_a_stage_without_a_seed_may_use_one(expand: Expand) -> None:
    found = expand("{m: {select: best-half, pretrain: moco, finetune: trained}}")
    assert kinds(found) == {"select": 1, "pretrain": 2, "finetune": 6, "embed": 6, "evaluate": 6}
    assert len(set(seeds(found))) == 6


def test_a_pretraining_without_a_seed_is_one_pretraining(expand: Expand) -> None:
    found = expand(
        "{m: {pretrain: as-it-is, finetune: trained}, k: {pretrain: as-it-is, finetune: keep}}", backbone="loaded"
    )
    assert kinds(found) == {"pretrain": 1, "finetune": 4, "embed": 4, "evaluate": 4}
    assert seeds(found, "m") == [(0, None), (1, None), (2, None)]
    assert seeds(found, "k") == [(None, None)]
    assert all(row.pretrained for row in found.rows)


def test_a_stage_that_is_nested_elsewhere_still_depends_on_the_pretraining_seed(expand: Expand) -> None:
    """The proxy, of prepare_seed 0, is the pre-training of seed 0."""
    chosen = "s: {select: {use: proxied, proxy: moco}, pretrain: moco, finetune: keep}"
    plain = "m: {pretrain: moco, finetune: keep}"
    for first, second in ((chosen, plain), (plain, chosen)):
        found = expand(f"{{{first}, {second}}}")
        assert seeds(found) == seeds(found, "s") == [(None, 0), (None, 1)]
        # one selection; from it, and from the whole pool, a pre-training of each seed
        assert kinds(found) == {"select": 1, "pretrain": 4, "finetune": 4, "embed": 4, "evaluate": 4}


def test_prepared_images_are_of_the_prepare_seed_only_where_they_are_drawn(expand: Expand) -> None:
    for style, same in (("copied", True), ("drawn", False)):
        methods = f"{{m: {{finetune: trained, adapt: {{use: styled, style: {style}}}}}}}"
        first, other = expand(methods), expand(methods, "prepare_seed=5")
        assert (first.stages.keys() == other.stages.keys()) is same
        assert kinds(first)["prepare"] == 1
        assert kinds(first)["adapt"] == 3


def test_an_ensemble_has_the_seeds_of_its_parts(expand: Expand) -> None:
    methods = "{a: {finetune: colours}, b: {pretrain: moco, finetune: keep}, c: {finetune: trained}, "
    found = expand(methods + "ab: {ensemble: [a, b]}, ac: {ensemble: [a, c]}}")
    assert seeds(found, "ab") == [(None, 0), (None, 1)]
    assert seeds(found, "ac") == [(0, None), (1, None), (2, None)]


def test_rows_that_cannot_be_keep_their_seeds(expand: Expand) -> None:
    found = expand("{m: {select: best-half, pretrain: moco, finetune: keep}}", tasks="{t: {target: tiny}}")
    assert len(found.rows) == 6
    assert all(row.key is None and row.reason for row in found.rows)


def test_labels_say_that_there_is_no_seed(expand: Expand) -> None:
    labels = {
        stage.label for stage in expand("{m: {pretrain: moco, finetune: keep}, c: {finetune: colours}}").stages.values()
    }
    assert {
        "finetune colours [tiny, no seed]",
        "embed c -> tiny [no seed]",
        "evaluate cosine of c -> tiny [no seed]",
    } <= labels
    assert {f"embed m -> tiny [no seed, pretrain seed={seed}]" for seed in (0, 1)} <= labels


# ---------------------------------------------------------------------- stores from before
METHODS = "{c: {finetune: colours}, k: {pretrain: moco, finetune: keep}, t: {finetune: trained, adapt: statistics}}"


@pytest.fixture
def before() -> Registry:
    """The same components as they were before they said that they use no seed."""
    from reidbench.registry import plugins

    registry = plugins.load()
    registry.add("toys", [(kind, replace(one, traits=one.traits - SEEDLESS)) for kind, one in COMPONENTS])  # type: ignore[operator]
    return registry


def test_no_stage_gets_a_key_that_it_did_not_have(expand: Expand, before: Registry) -> None:
    old, new = expand(METHODS, changed=before), expand(METHODS)
    assert new.stages.keys() < old.stages.keys()
    uses = [
        {key for key, stage in one.stages.items() if stage.use in ("trained", "statistics", "moco")}
        for one in (old, new)
    ]
    assert uses[0] == uses[1]


def test_a_store_from_before_has_all_that_is_needed(expand: Expand, before: Registry, tmp_path: Path) -> None:
    """Three equal results of three seeds: that of seed 0 counts, once. Two pre-trainings have a deviation."""
    store = Store(tmp_path / "store")
    for stage in expand(METHODS, changed=before).stages.values():
        with store.publishing(stage.key) as (_, manifest):
            manifest |= {"metrics": {"mAP": 0.125}, "seconds": 1.0, "versions": {}, "source": ""}
    the_plan = expand(METHODS)
    assert preview(the_plan, store, before)["to_run"] == 0
    summaries = {summary.method: summary for summary in report.collect(the_plan, store).summary}
    assert {name: (found.n, found.pretrainings, found.seedless) for name, found in summaries.items()} == {
        "c": (1, 0, True), "k": (1, 2, False), "t": (3, 0, False),
    }  # fmt: skip


def test_a_stand_in_has_another_content_than_the_same_files_and_nothing_else_has(
    registry: Registry, tmp_path: Path
) -> None:
    """Else a result from a stand-in could be found again for a set without its mark."""
    folder = write_market_folder(tmp_path / "people")
    with_own = registry.get("dataset", "market-folder")
    params = with_own.params()
    without = replace(with_own, fingerprint="")
    before = [content_of(component, params, folder) for component in (with_own, without)]
    assert before == [load_attribute(with_own.fingerprint)(params, folder), fingerprint_folder(folder)]
    (tmp_path / MARK).write_text("{}")
    after = [content_of(component, params, folder) for component in (with_own, without)]
    assert after == [f"{content} stand-in data" for content in before]


def test_keys_of_choices_that_come_and_go_are_their_own(registry: Registry, tmp_path: Path) -> None:
    """A choice that is gone leaves its place in memory to the next one, which is another."""
    file = tmp_path / "matrix.yaml"
    file.write_text("data: {w: {use: synthetic}}\ntasks: {t: {target: w}}\nbackbone: resnet-tiny\n"
                    "methods: {m: {finetune: none}}\n")  # fmt: skip
    benchmark = reader.read(file, registry)
    keys, component = Keys(benchmark), registry.get("evaluator", "cosine")

    def key(where: Keys, camera: str) -> str:
        choice = Choice("evaluator", component, component.params(camera=camera))
        return where.of_stage("evaluate", choice, (), (), None, 0, ImageSize((32, 16)))

    cameras = ["market1501", "none"] * 20
    assert [key(keys, camera) for camera in cameras] == [key(Keys(benchmark), camera) for camera in cameras]
