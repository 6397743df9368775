"""Rows that cannot be are known before anything runs, each with one sentence; what nobody declared fails at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.components import Component, Params
from reidbench.errors import PluginError
from reidbench.matrix import plan
from reidbench.matrix.needs import Needs
from reidbench.matrix.reading import reader
from reidbench.matrix.validation import trial_tasks
from reidbench.registry import plugins
from reidbench.registry.declarations import refused_word
from reidbench.registry.plugins import Registry
from reidbench.testing import make_plugin, run_matrix

TABLE = """
data:
  real: {{use: market-folder, root: {market}}}
  blind: {{use: market-folder, root: {market}, cameras: none}}
  pool: {{use: image-folder, root: {market}}}
  world: {{use: synthetic, world: plaza, size: tiny}}
  crowd: {{use: synthetic, world: crowd, size: tiny}}
  listed: {{use: csv-manifest, root: {manifest}}}
tasks: {{t: {task}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{m: {method}}}
"""
HHL = "{finetune: none, adapt: hhl}"
GCL = "{finetune: bot, adapt: {use: gcl, structure: synthetic-structure}}"
ORACLE = "{select: oracle, pretrain: moco-v2, finetune: none}"
SIE = "{backbone: vit-tiny, finetune: transreid-sie}"
SELF = "{finetune: none, adapt: {use: hhl, style: self-style}}"
NO_TEST = "has no query and gallery: it can be a source or a pool, not a target"


def listed(file: Path, columns: str, rows: str) -> Path:
    """A manifest; none of its images is looked at here."""
    file.write_text("\n".join([columns, *rows.split()]) + "\n")
    return file


@pytest.fixture
def reason(tmp_path: Path, market: Path, registry: Registry) -> Callable[..., str]:
    """The reason why a method cannot run on a task; "" if it can. The plan of a row that cannot has no stage."""

    def find(method: str, task: str, columns: str = "path,pid,split", rows: str = "a.png,1,train") -> str:
        manifest = listed(tmp_path / "listed.csv", columns, rows)
        file = tmp_path / "matrix.yaml"
        file.write_text(TABLE.format(market=market, manifest=manifest, task=task, method=method))
        the_plan = plan.expand(reader.read(file, registry))
        (row,) = the_plan.rows
        assert bool(the_plan.stages) == (row.key is not None) == (not row.reason)
        return row.reason

    return find


@pytest.mark.parametrize(
    ("method", "task", "expected"),
    [
        (HHL, "{target: real}", "hhl needs a source, and the task has none"),
        ("{finetune: none, adapt: arn}", "{target: real}", "arn needs a source, and the task has none"),
        (GCL, "{source: real, target: real}",
         "synthetic-structure needs the truth about its images, which real does not have"),
        (GCL, "{source: real, target: world}", ""),
        (GCL.replace("synthetic-structure", "hmr"), "{source: real, target: real, pool: crowd}", ""),
        (GCL.replace("synthetic-structure", "hmr"), "{source: real, target: real, pool: real}",
         "hmr-training needs the truth about its images, which real does not have"),
        (GCL.replace("synthetic-structure", "hmr"), "{source: real, target: real}",
         "hmr-training needs a pool, and the task has none"),
        (GCL.replace("finetune: bot, ", ""), "{target: world}",
         "gcl starts from a trained embedder: add `finetune:` or another adapter before it"),
        ("{adapt: [cluster-contrast, {use: gcl, structure: synthetic-structure}]}", "{target: world}", ""),
        ("{finetune: none, adapt: gcl-oracle}", "{target: real}",
         "gcl-oracle needs the truth about its images, which real does not have"),
        (ORACLE, "{target: real, pool: pool}", "oracle needs the truth about its images, which pool does not have"),
        (ORACLE, "{target: real, pool: [crowd, world]}",
         "oracle needs the truth about one data set, and the pool has 2"),
        (ORACLE, "{target: real, pool: crowd}", ""),
        (HHL, "{source: real, target: blind}", "stargan needs two or more cameras, which blind does not have"),
        (SELF, "{source: real, target: blind}", "self-style needs two or more cameras, which blind does not have"),
        (SELF.replace("self-style", "{use: self-style, copies: 2}"), "{source: real, target: blind}", ""),
        (HHL.replace("hhl", "{use: hhl, style: oracle-style}"), "{source: real, target: real}",
         "oracle-style needs the truth about its images, which real does not have"),
        ("{adapt: spgan}", "{target: real}", "spgan needs a source, and the task has none"),
        ("{adapt: spgan}", "{source: blind, target: pool}", f"pool {NO_TEST}"),
        ("{adapt: spgan}", "{source: [real, blind], target: blind}", ""),
        ("{adapt: spgan}", "{source: {use: real, identities: 3}, target: blind}",
         "spgan gets all images of real without labels, but `identities` limits the images that may be used: leave it "
         "out"),
        ("{adapt: {use: spgan, translation: null}}", "{source: {use: real, identities: 3}, target: blind}", ""),
        (SIE, "{source: blind, target: real}", "transreid-sie needs two or more cameras, which blind does not have"),
        (SIE, "{source: [blind, real], target: real}", ""),
        ("{finetune: {use: transreid, jpm: true}}", "{source: real, target: real}",
         "transreid needs tokens, which resnet-tiny does not provide"),
        ("{finetune: transreid}", "{source: real, target: real}", ""),
        ("{finetune: bot}", "{source: pool, target: real}", "pool has no labels: it can be a pool, not the source"),
        ("{pretrain: supervised, finetune: none}", "{target: real, auxiliary: pool}",
         "pool has no labels: it can be a pool, not the auxiliary"),
        ("{finetune: none}", "{target: pool}", f"pool {NO_TEST}"),
        ("{finetune: bot}", "{source: real, target: crowd}", f"crowd {NO_TEST}"),
        ("{adapt: spcl}", "{target: real}", ""),
        ("{adapt: {use: spcl, batches: cameras}}", "{target: blind}",
         "spcl needs two or more cameras, which blind does not have"),
        ("{adapt: {use: cluster-contrast, batches: cameras}}", "{target: blind}",
         "cluster-contrast needs two or more cameras, which blind does not have"),
        ("{adapt: cluster-contrast}", "{target: blind}", ""),
    ],
)  # fmt: skip
def test_what_a_task_lacks(method: str, task: str, expected: str, reason: Callable[..., str]) -> None:
    assert reason(method, task) == expected


def test_a_manifest_is_looked_at(reason: Callable[..., str]) -> None:
    three = "a,1,train b,1,query c,1,gallery"
    cameras = "path,pid,split,camid"
    assert reason("{finetune: none}", "{target: listed}") == f"listed {NO_TEST}"
    assert reason("{finetune: none}", "{target: listed}", rows=three) == ""
    without = "stargan needs two or more cameras, which listed does not have"
    assert reason(HHL, "{source: real, target: listed}", rows=three) == without
    one = "a,1,train,4 b,1,query,4 c,1,gallery,4"
    assert reason(HHL, "{source: real, target: listed}", cameras, one) == without
    two = "a,1,train,4 b,1,query,4 c,1,gallery,5"
    assert reason(HHL, "{source: real, target: listed}", cameras, two) == ""


def test_one_camera_that_nobody_declared_fails_before_training(tmp_path: Path, market: Path) -> None:
    """A folder does not say how many cameras are in its names: the stage looks before it trains."""
    for part in ("bounding_box_train", "query", "bounding_box_test"):
        (tmp_path / "one" / part).mkdir(parents=True)
        for path in sorted((market / part).glob("*_c1*")):
            (tmp_path / "one" / part / path.name).symlink_to(path)
    gallery = tmp_path / "one" / "bounding_box_test"
    (gallery / "0001_c1s1_000009_00.png").symlink_to(next(iter((market / "query").iterdir())))
    board = run_matrix(
        f"""
image_size: [64, 32]
data: {{one: {{use: market-folder, root: {tmp_path / "one"}}}, real: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{source: real, target: one}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{m: {{finetune: none, adapt: {{use: hhl, style: {{use: stargan, critic_layers: 5}}}}}}}}
""",
        tmp_path,
    )
    (row,) = board.results
    assert row.status == "blocked"
    assert "stargan needs two or more cameras, but one has one camera" in row.error


# ---------------------------------------------------------------------- the words themselves
class Sized(Params):
    large: bool = False


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        ("adapter", {"traits": {"source-fre"}}, "traits 'source-fre' is not a known word; did"),
        ("finetuner", {"traits": {"labelfree"}}, "did you mean 'label-free'?"),
        ("dataset", {"requires": {"rot"}}, "did you mean 'root'?"),
        ("dataset", {"lacks": {"camera"}}, "lacks 'camera' is not a known word; did you mean 'cameras'?"),
        ("dataset", {"capabilities": {"truht"}}, "did you mean 'truth'?"),
        ("preparer", {"requires": {"source"}}, "requires 'source' is not a known word"),
        ("adapter", {"protocol": {"camera"}}, "protocol 'camera' is not a known word; did you mean 'came"),
        ("adapter", {"requires": {"stagse"}}, "requires 'stagse' is not a known word; did you mean 'stag"),
        ("preparer", {"requires": {"stages"}}, "requires 'stages' is not a known word"),
        ("backbone", {"capabilities": {"stage"}}, "did you mean 'stages'?"),
        ("backbone", {"capabilities": {"wavelets"}}, "(known: bn, stages, tokens; your own words need a colon"),
        ("dataset", {"protocol": {"truth"}}, "protocol 'truth' is not a known word; it belongs in `capab"),
        ("backbone", {"protocol": {"ImageNet label"}}, "(known: none; or labels behind a file, as in 'ImageNet lab"),
        ("evaluator", {"protocol": {"AP stepp"}}, "did you mean 'AP step'?"),
        ("finetuner", {"traits": {"source-free"}}, "traits 'source-free' is not a known word"),
        ("dataset", {"traits": {"truth"}}, "; it belongs in `capabilities` (known: none)"),
        ("adapter", {"lacks": {"cameras"}}, "; it belongs in `requires` (known: none)"),
        ("adapter", {"requires": "source"}, "requires 'source' must be a set of words"),
        ("adapter", {"requires": {"source"}, "traits": {"source-free"}}, "receives no source"),
        ("dataset", {"capabilities": lambda params: frozenset({"truht"})}, "did you mean 'truth'?"),
        ("dataset", {"lacks": lambda params, root: frozenset({"camera"})}, "did you mean 'cameras'?"),
    ],
)  # fmt: skip
def test_misspelt_words_are_refused(kind: str, fields: dict[str, object], words: str) -> None:
    component = Component("toy", "m:f", Sized, **fields)  # type: ignore[arg-type]
    assert words in refused_word(kind, component)
    with pytest.raises(PluginError, match="toy: "):
        Registry().add("toys", [(kind, component)])


def test_every_shipped_declaration_is_known(registry: Registry) -> None:
    assert {refused_word(kind, component) for (kind, _), component in registry.components.items()} == {""}


PLUGIN = """
from reidbench import Component, Params, hookimpl
class Sized(Params):
    large: bool = False
@hookimpl
def reidbench_adapters():
    yield Component("{name}", "m:f", Sized, requires=lambda params: frozenset({{"{word}"}}))
"""
NETWORK = """
@hookimpl
def reidbench_backbones():
    yield Component("net", "m:f", Sized, capabilities=frozenset({"acme:wavelets"}))
"""


def test_a_word_with_a_colon_is_a_plugins_own(tmp_path: Path, market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It loads whether or not another plugin's network offers it; without such a network its row is not applicable."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("REIDBENCH_PLUGINS")
    make_plugin(tmp_path, "a_first", PLUGIN.format(name="uses-wavelets", word="acme:wavelets"))
    make_plugin(tmp_path, "b_wrong", PLUGIN.format(name="uses-sorce", word="sorce"))
    make_plugin(tmp_path, "z_network", PLUGIN.format(name="other", word="bn") + NETWORK)
    registry = plugins.load()
    assert set(registry.broken) == {"reidbench-b-wrong:b_wrong"}
    (line,) = registry.complaints()
    assert "adapter uses-sorce: requires 'sorce' is not a known word; did you mean 'source'?" in line
    file = tmp_path / "matrix.yaml"
    file.write_text(
        f"""
data: {{m: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{source: m, target: m}}}}
backbone: net
methods: {{with: {{adapt: uses-wavelets}}, without: {{backbone: resnet-tiny, adapt: uses-wavelets}}}}
"""
    )
    rows = {row.method: row.reason for row in plan.expand(reader.read(file, registry)).rows}
    assert rows == {"with": "", "without": "uses-wavelets needs acme:wavelets, which resnet-tiny does not provide"}


WORDS_OF_SETS = frozenset({"clothes", "tracklets"})


class Judged(Params):
    need: str = "clothes"


def test_an_evaluator_that_needs_labels_which_a_task_lacks_has_no_result_there(tmp_path: Path) -> None:
    """The embedding is shared: other evaluators of the task judge it."""
    judge = Component("dressed", "m:f", Judged, requires=lambda params: frozenset({params.need}))
    dressed = Component("dressed-set", "m:f", capabilities=WORDS_OF_SETS, lacks=frozenset({"tracklets"}))
    registry = plugins.load()
    registry.add("toys", [("evaluator", judge), ("dataset", dressed)])
    file = tmp_path / "matrix.yaml"
    file.write_text(
        "data: {dressed: {use: dressed-set}, plain: {use: synthetic, size: tiny}}\n"
        "tasks: {dressed: {source: dressed, target: dressed}, plain: {source: plain, target: plain}}\n"
        "backbone: resnet-tiny\nmethods: {m: {finetune: none}}\n"
        "evaluate: [cosine, dressed, {use: dressed, need: tracklets}]\n"
    )
    found = {(row.task, row.evaluator): row.reason for row in plan.expand(reader.read(file, registry)).rows}
    lacks = "{} labels, which {} does not have: see its reader"
    assert found == {
        ("dressed", "cosine"): "",
        ("dressed", "dressed()"): "",
        ("dressed", "dressed(need=tracklets)"): "dressed needs " + lacks.format("tracklet", "dressed"),
        ("plain", "cosine"): "",
        ("plain", "dressed()"): "dressed needs " + lacks.format("clothes", "plain"),
        ("plain", "dressed(need=tracklets)"): "dressed needs " + lacks.format("tracklet", "plain"),
    }


def test_an_evaluator_that_does_not_fit_is_named_with_its_preset(tmp_path: Path, registry: Registry) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(
        "data: {world: {use: synthetic, size: tiny}}\ntasks: {t: {target: world}}\nbackbone: resnet-tiny\n"
        "methods: {m: {finetune: none}}\n"
        "evaluate: [{use: cosine, preset: mars}, {use: cosine, preset: ltcc-cloth-changing}]\n"
    )
    assert [row.reason for row in plan.expand(reader.read(file, registry)).rows] == [
        "cosine(mars) needs tracklet labels, which world does not have: see its reader",
        "cosine(ltcc-cloth-changing) needs clothes labels, which world does not have: see its reader",
    ]


@pytest.mark.parametrize(
    ("labelled", "evaluator", "trained", "adapted"),
    [
        ("train", "listed (in query or gallery)", "", "listed (in query or gallery)"),
        ("query", "listed (in query or gallery)", "listed (in train)", "listed (in query or gallery)"),
        ("gallery", "listed (in query or gallery)", "listed (in train)", "listed (in query or gallery)"),
        ("query gallery", "", "listed (in train)", ""),
        ("train query gallery", "", "", ""),
        ("", "listed", "listed", "listed"),
    ],
)
def test_an_evaluator_needs_labels_of_the_test_and_a_method_those_that_it_is_given(
    labelled: str, evaluator: str, trained: str, adapted: str, tmp_path: Path
) -> None:
    toys = [("evaluator", Component("judge", "m:f", requires=frozenset({"clothes"})))]
    toys += [("finetuner", Component("learner", "m:f", requires=frozenset({"clothes"})))]
    toys += [("adapter", Component("mover", "m:f", requires=frozenset({"clothes"})))]
    registry = plugins.load()
    registry.add("toys", toys)
    rows = [f"{part}{pid}.png,{pid},{part},{3 if part in labelled.split() else ''}"
            for part in ("train", "query", "gallery") for pid in (1, 2)]  # fmt: skip
    listed(tmp_path / "m.csv", "path,pid,split,clothes", " ".join(rows))
    file = tmp_path / "matrix.yaml"
    file.write_text(
        f"data: {{listed: {{use: csv-manifest, root: {tmp_path / 'm.csv'}}}}}\n"
        "tasks: {t: {source: listed, target: listed, adapt_on: test}}\nbackbone: {use: resnet-tiny, width: 4}\n"
        "methods: {plain: {finetune: none}, learner: {finetune: learner}, mover: {finetune: none, adapt: mover}}\n"
        "evaluate: [cosine, judge]\n"
    )
    found = {(row.method, row.evaluator): row.reason for row in plan.expand(reader.read(file, registry)).rows}

    def reason(who: str, where: str) -> str:
        return f"{who} needs clothes labels, which {where} does not have: see its reader" if where else ""

    assert found["plain", "cosine"] == ""
    assert found["plain", "judge"] == reason("judge", evaluator)
    assert found["learner", "cosine"] == reason("learner", trained)
    assert found["mover", "cosine"] == reason("mover", adapted)


def test_what_is_held_out_of_train_has_the_labels_of_train(tmp_path: Path) -> None:
    """A search is judged by held-out train images, whose outfits the file has, though the test has none."""
    rows = [f"{part}{pid}{at}.png,{pid},{part},{at},{at if part == 'train' else ''}"
            for part in ("train", "query", "gallery") for pid in range(1, 9) for at in (0, 1)]  # fmt: skip
    listed(tmp_path / "m.csv", "path,pid,split,camid,clothes", " ".join(rows))
    (tmp_path / "matrix.yaml").write_text(
        f"data: {{listed: {{use: csv-manifest, root: {tmp_path / 'm.csv'}}}}}\n"
        "tasks: {t: {source: listed, target: listed}}\nbackbone: {use: resnet-tiny, width: 4}\n"
        "methods: {plain: {finetune: none}}\nevaluate: {use: cosine, exclude: [same-clothes]}\n"
        "validate: {identities: 0.5}\n"
    )
    benchmark = reader.read(tmp_path / "matrix.yaml", plugins.load())
    (judge,), (task,) = benchmark.evaluate, benchmark.tasks
    data, (trial,) = trial_tasks(benchmark, task, "source-val")
    needs = Needs({**benchmark.data, **data})
    assert needs.unfit_evaluator(judge, trial) == ""
    assert "listed (in query or gallery)" in needs.unfit_evaluator(judge, task)
