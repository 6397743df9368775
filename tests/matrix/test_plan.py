"""Keys name everything that can change a result and nothing else; equal stages are one stage."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest

from reidbench.components import AddedLater, Component, FileParam, FolderParam, Nested, Params, Uses
from reidbench.errors import ConfigError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry.plugins import Registry
from reidbench.testing import write_market_folder


class FileParams(Params):
    file: FileParam


class StyleParams(Params):
    style: Uses["preparer", "target"]  # type: ignore[type-arg]
    weight: float = 1.0


class TranslatedParams(Params):
    images: Uses["preparer", "source"] | None = Nested(use="translator")  # type: ignore[type-arg]


class ProxyParams(Params):
    proxy: Uses["pretrainer", "pool"]  # type: ignore[type-arg]
    tuned: Uses[("finetuner", "pretrainer"), "target", "proxy"]  # type: ignore[type-arg]


class BodyParams(Params):
    regressor: Uses["preparer", "pool"]  # type: ignore[type-arg]


class StrengthParams(Params):
    strength: int = 1


class StrengthAndMoreParams(StrengthParams):
    more: Annotated[int, AddedLater()] = 0
    start: Annotated[str, AddedLater(before="old")] = "new"


class StrengthAndOtherDefaultParams(StrengthParams):
    more: Annotated[int, AddedLater(before=0)] = 1


class PerhapsParams(Params):
    file: FileParam | None = None


class FolderParams(Params):
    folder: FolderParam


def components() -> list[tuple[str, Component]]:
    return [
        ("selector", Component("half", "m:f")),
        ("selector", Component("peeking", "m:f", protocol=frozenset({"target-labels"}))),
        ("selector", Component("proxied", "m:f", ProxyParams)),
        ("pretrainer", Component("moco", "m:f")),
        ("pretrainer", Component("from-file", "m:f", FileParams, traits=frozenset({"pool-free"}))),
        ("pretrainer", Component("elsewhere", "m:f", protocol=frozenset({"auxiliary"}))),
        ("preparer", Component("toy-style", "m:f", StrengthParams, protocol=frozenset({"cameras"}))),
        ("preparer", Component("translator", "m:f", traits=frozenset({"translates"}))),
        ("preparer", Component("perhaps-given", "m:f", PerhapsParams)),
        ("preparer", Component("fitted", "m:f", BodyParams)),
        ("preparer", Component("regressor", "m:f", protocol=frozenset({"truth"}))),
        ("preparer", Component("given-styles", "m:f", FolderParams)),
        ("finetuner", Component("needs-tokens", "m:f", requires=frozenset({"tokens"}))),
        ("finetuner", Component("translated", "m:f", TranslatedParams)),
        ("adapter", Component("toy-hhl", "m:f", StyleParams)),
        ("adapter", Component("usl", "m:f")),
        ("adapter", Component("free", "m:f", traits=frozenset({"source-free"}))),
    ]


@pytest.fixture
def toys() -> Registry:
    """Built-ins and declared components that are never run."""
    from reidbench.registry import plugins

    registry = plugins.load()
    registry.add("toys", components())
    return registry


def expand(file: Path, registry: Registry, *overrides: str) -> Plan:
    return plan.expand(reader.read(file, registry, overrides))


def keys(the_plan: Plan, kind: str) -> set[str]:
    return {key for key, stage in the_plan.stages.items() if stage.kind == kind}


def test_shared_stages_are_counted_once(matrix: Callable[..., Path], toys: Registry) -> None:
    file = matrix(
        seeds="[0, 1, 2]",
        pretrain_seeds="[0, 1]",
        tasks="{a: {source: tiny, target: tiny, pool: tiny}, b: {target: tiny, pool: tiny, source: tiny}}",
        evaluate="[{use: cosine}, {use: cosine, ap: trapezoid}]",
        methods="{m: {select: half, pretrain: moco, finetune: bot}, n: {select: half, pretrain: moco, finetune: none}}",
    )
    the_plan = expand(file, toys)
    counts = Counter(stage.kind for stage in the_plan.stages.values())
    # 2 pre-training seeds x (3 seeds of bot on one source, none once); both tasks are the same data
    assert counts == {"data": 1, "select": 2, "pretrain": 2, "finetune": 8, "embed": 8, "evaluate": 16}
    assert len(the_plan.rows) == 2 * 2 * (3 + 1) * 2
    assert {row.evaluator for row in the_plan.rows} == {"cosine()", "cosine(ap=trapezoid)"}


def test_parents_come_first(matrix: Callable[..., Path], toys: Registry) -> None:
    the_plan = expand(matrix(methods="{m: {finetune: bot, adapt: [{use: toy-hhl, style: toy-style}, usl]}}"), toys)
    seen: set[str] = set()
    for key, stage in the_plan.stages.items():
        assert set(stage.needs) <= seen
        seen.add(key)
    assert [stage.kind for stage in the_plan.stages.values()].count("adapt") == 2


@pytest.mark.parametrize(
    ("override", "changes"),
    [
        ("threads=2", {"finetune", "embed", "evaluate"}),
        ("image_size=[64, 32]", {"finetune", "embed", "evaluate"}),
        ("resize=bicubic", {"finetune", "embed", "evaluate"}),
        ("resize_test=bicubic", {"finetune", "embed", "evaluate"}),
        ("crop_from=original", {"finetune", "embed", "evaluate"}),
        ("resize=bilinear", set()),
        ("resize_test=bilinear", set()),
        ("crop_from=resized", set()),
        ("precision=bf16-mixed", {"finetune", "embed", "evaluate"}),
        ("methods.bot.finetune.epochs=9", {"finetune", "embed", "evaluate"}),
        ("backbone.width=8", {"finetune", "embed", "evaluate"}),
        ("seeds=[1]", {"finetune", "embed", "evaluate"}),
        ("evaluate.ap=trapezoid", {"evaluate"}),
        ("title=Other", set()),
        ("methods.bot.finetune.epochs=120", set()),  # the default, spelled out
        ("methods.bot.finetune.accumulate=2", {"finetune", "embed", "evaluate"}),
        ("methods.bot.finetune.accumulate=1", set()),
    ],
)
def test_what_changes_a_key(override: str, changes: set[str], matrix: Callable[..., Path], toys: Registry) -> None:
    file = matrix(methods="{bot: {finetune: {use: bot}}}", evaluate="{use: cosine}")
    before, after = expand(file, toys), expand(file, toys, override)
    changed = {kind for kind in ("data", "finetune", "embed", "evaluate") if keys(before, kind) != keys(after, kind)}
    assert changed == changes


def test_names_and_places_are_in_no_key(matrix: Callable[..., Path], toys: Registry, tmp_path: Path) -> None:
    first, second = (write_market_folder(tmp_path / name) for name in ("first", "second"))
    plans = [
        expand(
            matrix(data=f"{{{name}: {{use: market-folder, root: {root}}}}}", tasks=f"{{t: {{target: {name}}}}}"), toys
        )
        for name, root in (("a", first), ("b", second))
    ]
    assert plans[0].stages.keys() == plans[1].stages.keys()
    picture = next((second / "query").iterdir())
    picture.write_bytes(picture.read_bytes() + b"\0")
    changed = expand(matrix(data=f"{{a: {{use: market-folder, root: {second}}}}}", tasks="{t: {target: a}}"), toys)
    assert keys(changed, "evaluate").isdisjoint(keys(plans[0], "evaluate"))


def test_a_component_version_changes_its_key(matrix: Callable[..., Path], toys: Registry) -> None:
    from dataclasses import replace

    file = matrix(methods="{bot: {finetune: bot}}")
    before = expand(file, toys)
    toys.components["finetuner", "bot"] = replace(toys.components["finetuner", "bot"], version=2)
    assert keys(before, "finetune").isdisjoint(keys(expand(file, toys), "finetune"))


def test_a_parameter_that_was_added_later_leaves_keys_as_they_were(matrix: Callable[..., Path], toys: Registry) -> None:
    """At its default only, or at `before` where the default computes something else; nested, too."""
    from dataclasses import replace

    def prepared(style: str) -> set[str]:
        file = matrix(methods=f"{{m: {{finetune: bot, adapt: {{use: toy-hhl, style: {style}}}}}}}")
        the_plan = expand(file, toys)
        return keys(the_plan, "prepare") | keys(the_plan, "adapt")

    before = prepared("{use: toy-style, strength: 3}")
    toys.components["preparer", "toy-style"] = replace(
        toys.components["preparer", "toy-style"], params=StrengthAndMoreParams
    )
    old = "use: toy-style, strength: 3, start: old"
    assert prepared(f"{{{old}}}") == prepared(f"{{{old}, more: 0}}") == before
    assert len(before) == 2
    assert prepared("{use: toy-style, strength: 3}").isdisjoint(before)  # whose default is another one
    assert prepared(f"{{{old}, more: 1}}").isdisjoint(before)

    toys.components["preparer", "toy-style"] = replace(
        toys.components["preparer", "toy-style"], params=StrengthAndOtherDefaultParams
    )
    assert prepared("{use: toy-style, strength: 3, more: 0}") == before
    assert prepared("{use: toy-style, strength: 3}") == prepared("{use: toy-style, strength: 3, more: 1}")
    assert prepared("{use: toy-style, strength: 3}").isdisjoint(before)


def test_flipping_at_test_is_a_stage_of_its_own_and_a_word(matrix: Callable[..., Path], toys: Registry) -> None:
    """On, another embed stage after the same training; off, the key is what it was; a method's own word wins."""
    plain = expand(matrix(methods="{a: {finetune: bot}}"), toys)
    methods = "{a: {finetune: bot}, b: {finetune: bot, flip_test: true}, c: {finetune: none, flip_test: false}}"
    both = expand(matrix(methods=methods), toys)
    assert keys(plain, "embed") < keys(both, "embed")
    assert len(keys(both, "embed")) == 3
    assert keys(plain, "finetune") == {key for key in keys(both, "finetune") if both.stages[key].use == "bot"}
    protocols = {row.method: row.protocol for row in both.rows}
    assert protocols["a"] == "source labels, AP step"
    assert protocols["b"] == "source labels, flip, AP step"
    everywhere = expand(matrix(flip_test="true", methods=methods), toys)
    assert {row.method: "flip" in row.protocol for row in everywhere.rows} == {"a": True, "b": True, "c": False}
    assert keys(everywhere, "embed") < keys(both, "embed")  # a and b are now one
    none = expand(matrix(methods="{c: {finetune: none, flip_test: true}}"), toys)
    assert none.rows[0].protocol == "no labels, flip, AP step"
    one = expand(
        matrix(methods="{a: {finetune: bot, flip_test: true}, c: {finetune: none}, e: {ensemble: [a, c]}}"), toys
    )
    assert {row.method: row.protocol for row in one.rows}["e"] == "source labels, ensemble of 2, flip, AP step"


def test_content_of_a_file_not_its_name_is_in_the_key(
    matrix: Callable[..., Path], toys: Registry, tmp_path: Path
) -> None:
    found = []
    for name, content in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).write_text(content)
        the_plan = expand(
            matrix(methods=f"{{m: {{pretrain: {{use: from-file, file: {name}}}, finetune: none}}}}"), toys
        )
        found.append(keys(the_plan, "pretrain"))
    assert found[0] == found[1] != found[2]


def test_prepare_stages_are_shared_by_seeds_and_methods(matrix: Callable[..., Path], toys: Registry) -> None:
    file = matrix(
        seeds="[0, 1, 2]",
        methods="""{
          a: {finetune: bot, adapt: {use: toy-hhl, style: toy-style}},
          b: {finetune: bot, adapt: {use: toy-hhl, weight: 2, style: {use: toy-style, strength: 1}}},
          c: {finetune: bot, adapt: {use: toy-hhl, style: {use: toy-style, strength: 2}}}}""",
    )
    the_plan = expand(file, toys)
    assert len(keys(the_plan, "prepare")) == 2
    assert len(keys(the_plan, "adapt")) == 9
    assert all("cameras" in row.protocol for row in the_plan.rows)


def test_nested_training_is_a_stage_that_starts_from_another(matrix: Callable[..., Path], toys: Registry) -> None:
    file = matrix(
        seeds="[0, 1]",
        pretrain_seeds="[0, 1]",
        tasks="{t: {source: tiny, target: tiny, pool: tiny}}",
        methods="""{
          labels: {select: {use: proxied, proxy: moco, tuned: bot}, pretrain: moco, finetune: none},
          none: {select: {use: proxied, proxy: moco, tuned: moco}, pretrain: moco, finetune: none}}""",
    )
    the_plan = expand(file, toys)
    stages = the_plan.stages
    (tuned,) = (stage for stage in stages.values() if stage.kind == "finetune" and stage.use == "bot")
    ((role, proxy),) = tuned.parents
    assert role == "pretrain"
    assert [(given.role, given.part, given.hidden) for given in tuned.data] == [("source", "train", False)]
    assert [(given.role, given.hidden) for given in stages[proxy].data] == [("pool", True)]
    assert stages[proxy].backbone == tuned.backbone != None  # noqa: E711 - both have one
    again = [stage for stage in stages.values() if dict(stage.parents).get("pretrain") == proxy]
    assert sorted(stage.kind for stage in again) == ["finetune", "pretrain"]
    (unlabelled,) = (stage for stage in again if stage.kind == "pretrain")
    assert [(given.role, given.hidden) for given in unlabelled.data] == [("pool", True)]
    selects = [stage for stage in stages.values() if stage.kind == "select"]
    assert len(selects) == 4  # two methods, two pre-training seeds; the proxies are shared
    assert {dict(stage.parents)["prepared.proxy"] for stage in selects} == {proxy}
    protocols = {row.method: row.protocol for row in the_plan.rows}
    assert "target-labels" in protocols["labels"]
    assert "target-labels" not in protocols["none"]
    assert "target images" in protocols["labels"]
    assert "target images" in protocols["none"]


def test_nested_training_never_sees_test_images(matrix: Callable[..., Path], toys: Registry) -> None:
    file = matrix(
        tasks="{t: {target: tiny, pool: tiny, adapt_on: test}}",
        methods="""{m: {
          select: {use: proxied, proxy: moco, tuned: moco}, pretrain: moco,
          adapt: {use: toy-hhl, style: toy-style}}}""",
    )
    parts = {(stage.kind, given.part) for stage in expand(file, toys).stages.values() for given in stage.data}
    assert parts == {
        ("select", "train"), ("pretrain", "train"), ("prepare", "test"), ("adapt", "test"), ("embed", "test"),
    }  # fmt: skip


def test_nested_training_needs_what_any_training_needs(matrix: Callable[..., Path], toys: Registry) -> None:
    file = matrix(
        tasks="{t: {target: tiny, pool: tiny}}",
        methods="""{
          a: {select: {use: proxied, proxy: moco, tuned: needs-tokens}, pretrain: moco, finetune: none},
          b: {select: {use: proxied, proxy: elsewhere, tuned: moco}, pretrain: moco, finetune: none}}""",
    )
    assert {row.method: row.reason for row in expand(file, toys).rows} == {
        "a": "needs-tokens needs tokens, which resnet-tiny does not provide",
        "b": "elsewhere needs auxiliary data, and the task has none",
    }


def test_a_nested_folder_counts_by_its_content_not_by_its_place(
    matrix: Callable[..., Path], toys: Registry, tmp_path: Path
) -> None:
    adapted = []
    for place, content in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "style.jpg").write_text(content)
        style = f"{{use: given-styles, folder: {place}}}"
        file = matrix(methods=f"{{m: {{finetune: bot, adapt: {{use: toy-hhl, style: {style}}}}}}}")
        adapted.append(keys(expand(file, toys), "adapt"))
    assert adapted[0] == adapted[1]
    assert adapted[0].isdisjoint(adapted[2])


def test_an_optional_file_counts_by_its_content_and_has_to_be_there(
    matrix: Callable[..., Path], toys: Registry, tmp_path: Path
) -> None:
    adapted = []
    for place, content in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / place).write_text(content)
        style = f"{{use: perhaps-given, file: {place}}}"
        file = matrix(methods=f"{{m: {{finetune: bot, adapt: {{use: toy-hhl, style: {style}}}}}}}")
        adapted.append(keys(expand(file, toys), "adapt"))
    assert adapted[0] == adapted[1]
    assert adapted[0].isdisjoint(adapted[2])
    (tmp_path / "c").unlink()
    with pytest.raises(ConfigError, match="no such file: "):
        expand(file, toys)


def test_hidden_and_labelled_inputs(matrix: Callable[..., Path], toys: Registry) -> None:
    file = matrix(
        tasks="{t: {source: {use: tiny, identities: 0.5}, target: tiny, pool: tiny}}",
        methods="{m: {select: peeking, pretrain: moco, finetune: bot, adapt: usl}}",
    )
    stages = {stage.kind: stage for stage in expand(file, toys).stages.values()}
    assert [(given.role, given.hidden) for given in stages["select"].data] == [("pool", True), ("target", False)]
    assert [(given.role, given.hidden) for given in stages["pretrain"].data] == [("pool", True)]
    assert [(g.role, g.hidden, g.identities) for g in stages["finetune"].data] == [("source", False, 0.5)]
    assert [(given.role, given.hidden) for given in stages["adapt"].data] == [("target", True), ("source", False)]
    assert [(given.role, given.part) for given in stages["embed"].data] == [("target", "test")]


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("{pretrain: moco, finetune: bot}", "moco needs a pool"),
        ("{pretrain: elsewhere, finetune: bot}", "elsewhere needs a pool"),
        ("{finetune: needs-tokens}", "needs-tokens needs tokens, which resnet-tiny does not provide"),
        ("{finetune: bot}", "bot needs a source"),
    ],
)
def test_not_applicable(method: str, reason: str, matrix: Callable[..., Path], toys: Registry) -> None:
    source = "" if "source" in reason else "source: tiny, "
    the_plan = expand(matrix(tasks=f"{{t: {{{source}target: tiny}}}}", methods=f"{{m: {method}}}"), toys)
    (row,) = the_plan.rows
    assert row.key is None
    assert reason in row.reason
    assert not keys(the_plan, "evaluate")


def test_untrained_features_need_no_source_and_say_so(matrix: Callable[..., Path], toys: Registry) -> None:
    (row,) = expand(matrix(tasks="{t: {target: tiny}}"), toys).rows
    assert row.key
    assert row.protocol == "no labels, AP step"


def test_protocol_words(matrix: Callable[..., Path], toys: Registry) -> None:
    file = matrix(
        tasks="{t: {source: tiny, target: tiny, pool: tiny, adapt_on: test}}",
        methods="""{m: {select: peeking, pretrain: moco, finetune: bot, adapt: usl},
                    n: {finetune: bot}, e: {ensemble: [m, n]}}""",
    )
    rows = {row.method: row for row in expand(file, toys).rows}
    words = "source labels, pool, target images, transductive, target-labels, target is a source, AP step"
    assert rows["m"].protocol == words
    assert rows["e"].protocol.endswith("ensemble of 2, AP step")


def test_a_target_that_is_a_source_is_named_for_adapters_only(
    matrix: Callable[..., Path], toys: Registry, market: Path, tmp_path: Path
) -> None:
    """Also where the same files have two names; not for other files, nor for what learnt no label."""
    shutil.copytree(market, tmp_path / "copy")
    (tmp_path / "link").symlink_to(market)
    places = {"tiny": market, "again": tmp_path / "link", "other": tmp_path / "copy"}
    file = matrix(
        data="".join(f"\n  {name}: {{use: market-folder, root: {root}}}" for name, root in places.items()),
        tasks="{same: {source: tiny, target: tiny}, named: {source: [other, again], target: tiny}, "
        "apart: {source: other, target: tiny}}",
        methods="""{usl: {adapt: usl}, free: {adapt: free}, after: {finetune: bot, adapt: free}, bot: {finetune: bot},
                    both: {ensemble: [bot, usl]}}""",
    )
    named = {(row.method, row.task) for row in expand(file, toys).rows if "target is a source" in row.protocol}
    assert named == {(method, task) for method in ("usl", "after", "both") for task in ("same", "named")}
    shutil.copytree(market / "query", tmp_path / "copy" / "images")
    root = f"use: market1501, root: {tmp_path / 'copy'}"
    file = matrix(
        data=f"""{{tiny: {{{root}}}, lax: {{{root}, check: "off"}}, more: {{{root}, distractors: true}}}}""",
        tasks="{lax: {source: lax, target: tiny}, more: {source: more, target: tiny}}",
        methods="{usl: {adapt: usl}}",
    )
    named = {(row.method, row.task) for row in expand(file, toys).rows if "target is a source" in row.protocol}
    assert named == {("usl", "lax")}  # how strictly it is checked makes no other data set


def test_what_is_nested_on_the_pool_speaks_of_the_pool(matrix: Callable[..., Path], toys: Registry) -> None:
    """Known truth of rendered pool persons is not the target's, and keeps no row from being ranked with others."""
    file = matrix(
        tasks="{with: {source: tiny, target: tiny, pool: tiny}, without: {source: tiny, target: tiny}}",
        methods="{m: {finetune: bot, adapt: {use: toy-hhl, style: {use: fitted, regressor: regressor}}}}",
    )
    there, none = expand(file, toys).rows
    words = "source labels, target images, pool, truth of the pool, target is a source, AP step"
    assert there.protocol == words
    assert none.reason == "regressor needs a pool, and the task has none"


def test_a_preparer_that_translates_gets_the_target(matrix: Callable[..., Path], toys: Registry) -> None:
    """Also one of a fine-tuner, whose stage then depends on the target; null asks for none."""
    file = matrix(
        tasks="{t: {source: tiny, target: tiny}, at test: {source: tiny, target: tiny, adapt_on: test}}",
        methods="{m: {finetune: translated}, none: {finetune: {use: translated, images: null}}}",
    )
    the_plan = expand(file, toys)
    said = {(row.method, row.task): row.protocol for row in the_plan.rows}
    assert said == {
        ("m", "t"): "source labels, target images, AP step",
        ("m", "at test"): "source labels, target images, transductive, AP step",
        ("none", "t"): "source labels, AP step",
        ("none", "at test"): "source labels, AP step",
    }
    given = [stage.data for stage in the_plan.stages.values() if stage.kind == "prepare"]
    assert [[(one.role, one.part, one.hidden) for one in data] for data in given] == [
        [("split", "train", True), ("target", "train", True)],
        [("split", "train", True), ("target", "test", True)],
    ]
    assert len(keys(the_plan, "finetune")) == 3


def test_an_adapter_that_needs_no_source_gets_none_and_shares_its_stage(
    matrix: Callable[..., Path], toys: Registry
) -> None:
    file = matrix(
        tasks="{with: {source: tiny, target: tiny}, without: {target: tiny}}",
        methods="{free: {adapt: free}, usl: {adapt: usl}}",
    )
    the_plan = expand(file, toys)
    rows = {(row.method, row.task): row for row in the_plan.rows}
    assert rows["free", "with"].key == rows["free", "without"].key
    assert rows["usl", "with"].key != rows["usl", "without"].key
    assert rows["free", "with"].protocol == "target images, AP step"
    assert rows["usl", "with"].protocol == "source labels, target images, target is a source, AP step"


def test_rows_of_methods_without_pretraining_have_no_pretrain_seed(matrix: Callable[..., Path], toys: Registry) -> None:
    file = matrix(
        pretrain_seeds="[5, 6]",
        tasks="{t: {target: tiny, pool: tiny}}",
        methods="{n: {finetune: none}, m: {pretrain: moco, finetune: none}}",
    )
    found = [(row.method, row.pretrain_seed) for row in expand(file, toys).rows]
    assert found == [("n", None), ("m", 5), ("m", 6)]
