"""A recorded board gives the very tables and pages of the plan that it was recorded of, and contains no secret."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench import report
from reidbench.errors import ReidbenchError
from reidbench.matrix import plan
from reidbench.matrix.benchmark import Validation
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.matrix.validation import trial_tasks
from reidbench.packs.recorded import record, recorded_plan
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry
from reidbench.report.options import Options
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ARGUMENTS = ["--set", "seeds=[0, 1]"]


def planned(file: Path, registry: Registry) -> Plan:
    return plan.expand(reader.read(file, registry))


def again(the_plan: Plan, arguments: list[str] | None = None, file: Path | None = None) -> Plan:
    """The plan, by way of JSON."""
    return recorded_plan(json.loads(json.dumps(record(the_plan, arguments or ()))), file)


def filled(the_plan: Plan, folder: Path) -> Store:
    """A store in which nearly every stage is made, by nobody, with numbers by a formula; some failed."""
    store = Store(folder)
    for number, stage in enumerate(the_plan.stages.values()):
        if number % 11 == 7:
            store.record_failure(stage.key, f"broke at {number}")
            continue
        with store.publishing(stage.key) as (_, manifest):
            manifest |= {
                "stage": {"kind": stage.kind, "use": stage.use, "label": stage.label},
                "settings": {"precision": "32-true"},
                "versions": {"torch": "2.6", "reidbench": "1"},
                "plugin": "made up",
                "source": f"{number % 3}" * 8,
                "platform": "none",
                "processor": "one",
                "seconds": 3.0,
                "work_seconds": 2.0 + number,
                "metrics": metrics_of(stage.kind, number),
                "notes": [f"note {number % 5}"] if number % 4 == 0 else [],
                "protocol": ["a word"] if number % 9 == 0 else [],
            }
    return store


def metrics_of(kind: str, number: int) -> dict[str, float]:
    if kind == "evaluate":
        return {"mAP": (37 * number % 100) / 100, "cmc1": (53 * number % 100) / 100, "mINP": 0.25}
    return {"images": float(number)} if kind == "data" else {}


def texts(the_plan: Plan, store: Store, pictures: Any = "rendered") -> Mapping[str, str]:
    options = Options(pictures=pictures, arguments=ARGUMENTS)
    return {form: report.table(the_plan, store, form, options) for form in report.FORMATS}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quickstart.yaml", "worlds/adaptation.yaml", "worlds/data-selection.yaml"])
def test_real_files_give_the_same_tables_and_page(name: str, registry: Registry, tmp_path: Path) -> None:
    the_plan = planned(BENCHMARKS / name, registry)
    store, shown = filled(the_plan, tmp_path / "store"), again(the_plan)
    wanted, found = texts(the_plan, store), texts(shown, store)
    assert len(wanted["html"]) > 100_000
    for form, text in wanted.items():
        assert found[form] == text, form
    assert shown.rows == the_plan.rows
    assert record(shown) == record(the_plan)


KITCHEN = """
title: Kitchen
image_size: [32, 16]
seeds: [0]
profile: true
data:
  tiny: {use: market-folder, root: MARKET}
  twin: {use: market-folder, root: MARKET}
tasks:
  tiny: {source: tiny, target: tiny}
  twins: {source: {use: twin, identities: 3}, target: tiny, pool: twin}
backbone: {use: resnet-tiny, width: 4}
evaluate: [cosine, {use: cosine, ap: trapezoid}]
methods:
  plain: {finetune: none}
  colours: {finetune: {use: colour-histogram, stripes: 3}, flip_test: true}
  wide: {finetune: {use: none, backbone: {use: resnet-tiny, width: 8}, resize: bicubic}, image_size: [64, 32]}
  theirs: {features: 'their {task}.npz', uses: [pool, ImageNet labels]}
  both: {ensemble: [plain, colours]}
"""


def write_features(folder: Path, market: Path) -> None:
    """Features of the pictures by their names, as a file from elsewhere has them."""
    rng = np.random.default_rng(0)
    columns = {}
    for part, place in (("query", "query"), ("gallery", "bounding_box_test")):
        names = sorted(file.name for file in (market / place).iterdir())
        columns[f"{part}_features"] = rng.normal(size=(len(names), 4)).astype(np.float32)
        columns[f"{part}_pids"] = np.array([int(name.split("_")[0]) for name in names])
        columns[f"{part}_camids"] = np.array([int(name.split("_c")[1][0]) for name in names])
    for task in ("tiny", "twins"):
        np.savez(folder / f"their {task}.npz", **columns)


@pytest.mark.slow
def test_a_store_that_was_run_gives_the_same_page_with_pictures(
    market: Path, tmp_path: Path, registry: Registry
) -> None:
    """Ensembles, files of features, flips, own networks, costs and ranked lists of user images."""
    write_features(tmp_path, market)
    run_matrix(KITCHEN.replace("MARKET", str(market)), tmp_path)
    the_plan, store = planned(tmp_path / "matrix.yaml", registry), Store(tmp_path / "store")
    shown = again(the_plan, file=tmp_path / "matrix.yaml")
    assert str(market) not in json.dumps(record(the_plan) | {"text": ""})
    for pictures in ("all", "rendered"):
        wanted, found = texts(the_plan, store, pictures), texts(shown, store, pictures)
        assert ('id="thumbnails">{}<' in wanted["html"]) is (pictures == "rendered")
        for form, text in wanted.items():
            assert found[form] == text, form
    columns = Options(columns=("params", "latency"))
    assert report.table(shown, store, "md", columns) == report.table(the_plan, store, "md", columns)


FAMILIES = """
title: Families
image_size: [32, 16]
seeds: [0, 1, 2]
data:
  a: {use: synthetic, size: tiny}
  b: {use: synthetic, world: station, size: tiny}
  c: {use: synthetic, world: arcade, size: tiny}
tasks:
  dg: {leave-one-out: [a, b, c]}
  whole: {sources: [{use: a, images: all}, b], targets: [c]}
  life: {sequence: [a, b], unseen: [c]}
backbone: {use: resnet-tiny, width: 4}
methods: {plain: {finetune: none}, bot: {finetune: bot}}
"""


def test_families_and_sequences_survive(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "matrix.yaml").write_text(FAMILIES)
    the_plan = planned(tmp_path / "matrix.yaml", registry)
    shown, store = again(the_plan), filled(the_plan, tmp_path / "store")
    assert shown.benchmark.tasks == the_plan.benchmark.tasks
    assert {task.group for task in shown.benchmark.tasks} == {"dg", "whole", "life"}
    wanted, found = texts(the_plan, store), texts(shown, store)
    for form, text in wanted.items():
        assert found[form] == text, form


def test_a_file_without_families_says_nothing_of_them(matrix: Callable[..., Path], registry: Registry) -> None:
    """So that versions which know of none can read its board."""
    board = record(planned(matrix(), registry))
    assert board["tasks"][0].keys() == {"name", "target", "source", "pool", "auxiliary", "adapt_on"}
    assert board["tasks"][0]["target"].keys() == {"name", "identities", "subset_seed"}


def test_expected_numbers_are_held_as_before(papers: Path, matrix: Callable[..., Path], tmp_path: Path) -> None:
    expect = "{made: {tiny: {row: 'Made, small, 32x16'}}}"
    data = f"{{tiny: {{use: market1501, root: {published_root(tmp_path)}, strict: false}}}}"
    file = matrix(methods="{made: {finetune: made}}", data=data, expect=expect)
    the_plan = planned(file, plugins.load())
    store, shown = filled(the_plan, tmp_path / "store"), again(the_plan)
    for form in ("md", "csv", "json", "html"):
        options = Options(published=True)
        assert report.table(shown, store, form, options) == report.table(the_plan, store, form, options)


def test_ranking_rules_of_published_numbers_survive(papers: Path, matrix: Callable[..., Path], tmp_path: Path) -> None:
    """In the component, in `expect:` and in `published:`; boards without such rules do not name them."""
    expect = "{made: {tiny: {row: 'Made, one camera'}}}"
    quoted = "[{row: a, task: tiny, metric: cmc1, value: 0.5, source: b, rules: [ties best]}]"
    data = f"{{tiny: {{use: market1501, root: {published_root(tmp_path)}, strict: false}}}}"
    file = matrix(methods="{made: {finetune: made}}", data=data, expect=expect, published=quoted)
    the_plan = planned(file, plugins.load())
    shown = again(the_plan).benchmark
    assert shown.published[0].rules == ("ties best",)
    assert {number.rules for number in shown.expect[0].numbers} == {("queries of camera 0",)}
    paper, before = (one.methods[0].steps[0][1].component.paper for one in (shown, the_plan.benchmark))
    assert paper is not None
    assert before is not None
    assert list(paper.published) == list(before.published)
    papers = [one["paper"]["published"] for one in record(the_plan)["components"] if one["paper"]]
    assert [number["row"] for numbers in papers for number in numbers if "rules" in number] == ["Made, one camera"] * 2


def published_root(folder: Path) -> Path:
    from ..support.copies import market1501

    return market1501(folder / "market")


HIDDEN = """
title: Secrets
image_size: [32, 16]
data: {tiny: {use: market-folder, root: MARKET}}
tasks: {tiny: {source: tiny, target: tiny}}
evaluate: cosine
backbone: {use: resnet-tiny, width: 4}
methods:
  program:
    finetune: &one
      use: command
      extract: tool {images} {out}
      env: {TOKEN: hunter2hunter2, 'SHORT': 'abc', OPEN: "$HOME", LONG: "quokka\\nwombat \\x41",
            BLOCK: "x"}  # TOKEN was hunter2hunter2 before
"""


def test_no_secret_is_recorded(market: Path, tmp_path: Path, registry: Registry) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(HIDDEN.replace("MARKET", str(market)))
    added = "methods.program.finetune.env.OTHER=swordfish"
    the_plan = plan.expand(reader.read(file, registry, [added]))
    board = record(the_plan, ["--set", added, "--set", "seeds=[0]"])
    text = json.dumps(board)
    for secret in ("hunter2", "abc'", "quokka", "wombat", "swordfish"):
        assert secret not in text
    assert 'OPEN: "$HOME"' in board["text"]
    assert "TOKEN: '<secret>'" in board["text"]
    assert board["arguments"] == ["--set", "methods.program.finetune.env.OTHER=<secret>", "--set", "seeds=[0]"]
    shown = recorded_plan(json.loads(text))
    params = shown.benchmark.methods[0].steps[0][1].resolved
    assert params == the_plan.benchmark.methods[0].steps[0][1].resolved
    assert params["env"]["TOKEN"].startswith("sha256:")
    (tmp_path / "blank.yaml").write_text(board["text"])
    blank = reader.read(tmp_path / "blank.yaml", registry).methods[0].steps[0][1]
    assert blank.params.env["LONG"] == blank.params.env["BLOCK"] == "<secret>"  # type: ignore[attr-defined]


def test_choices_are_what_they_were(tmp_path: Path, registry: Registry) -> None:
    """Defaults stay defaults, changed parameters changed, words and versions as they were."""
    the_plan = planned(BENCHMARKS / "worlds" / "adaptation.yaml", registry)
    shown = again(the_plan)
    lists = ([c for r in p.benchmark.methods for _, step in r.steps for c in step.parts()] for p in (the_plan, shown))
    pairs = list(zip(*lists, strict=True))
    assert len(pairs) > 10
    for one, other in pairs:
        assert list(other.resolved.items()) == list(one.resolved.items())
        assert other.changed == one.changed
        assert (other.kind, other.name, other.component.version) == (one.kind, one.name, one.component.version)
        assert other.component.protocol_with(other.params) == one.component.protocol_with(one.params)
        assert other.component.traits_with(other.params) == one.component.traits_with(one.params)


@pytest.fixture(scope="module")
def board(registry: Registry) -> dict[str, Any]:
    return record(planned(BENCHMARKS / "quickstart.yaml", registry))


Change = Callable[[dict[str, Any]], object]
BROKEN: dict[str, Change] = {
    "format": lambda b: b.update(format=2),
    "extra": lambda b: b.update(more=1),
    "missing": lambda b: b.pop("rows"),
    "not text": lambda b: b.update(title=3),
    "no number": lambda b: b["rows"][0].update(seed="0"),
    "truth as number": lambda b: b["stages"][0].update(seed=True),
    "place beyond": lambda b: b["methods"][0]["steps"][0].__setitem__(1, 10**9),
    "negative place": lambda b: b["methods"][0]["steps"][0].__setitem__(1, -1),
    "of a different kind": lambda b: b["methods"][0]["steps"][0].__setitem__(1, b["evaluate"][0]),
    "unknown kind": lambda b: b["components"][0].update(kind="virus"),
    "itself": lambda b: b["choices"][0]["for_data"].update(x=0),
    "later": lambda b: b["choices"][0].update(backbone=len(b["choices"]) - 1),
    "no step": lambda b: b["methods"][0]["steps"][0].__setitem__(0, "embed"),
    "steps without network": lambda b: b["methods"][0].update(backbone=None),
    "empty": lambda b: b["methods"][0].update(steps=[]),
    "unknown part": lambda b: b["methods"][0].update(ensemble=["nobody"]),
    "twice": lambda b: b["methods"].append(b["methods"][0]),
    "same task": lambda b: b["tasks"].append(b["tasks"][0]),
    "unknown data": lambda b: b["tasks"][0]["target"].update(name="nowhere"),
    "key as path": lambda b: b["stages"][0].update(key="../../x"),
    "stage twice": lambda b: b["stages"].append(b["stages"][0]),
    "parents later": lambda b: b["stages"].reverse(),
    "unknown parent": lambda b: b["stages"][-1].update(parents=[["features.0", "nothing"]]),
    "row twice": lambda b: b["rows"].append({**b["rows"][0], "key": b["rows"][1]["key"]}),
    "row of nothing": lambda b: b["rows"][0].update(key="nothing"),
    "row of a data set": lambda b: b["rows"][0].update(key=b["stages"][0]["key"]),
    "row of nobody": lambda b: b["rows"][0].update(method="nobody"),
    "row by nobody": lambda b: b["rows"][0].update(evaluator="nobody"),
    "profiles": lambda b: b["rows"][0].update(profiles=["", ""]),
    "image size": lambda b: b.update(image_size=[0, 10**9]),
    "setting": lambda b: b["methods"][0].update(settings={"resize": "sharp"}),
    "private parameter": lambda b: b["values"].append({"_x": 1}) or b["choices"][0].update(params=len(b["values"]) - 1),
    "method": lambda b: b["values"].append({"model_dump": 1}) or b["choices"][0].update(params=len(b["values"]) - 1),
    "range": lambda b: [m.update(range=[1, 0]) for c in b["components"] for m in c["metrics"]],
    "expected": lambda b: b["expect"].append({"method": "x", "task": "y", "component": "z", "numbers": []}),
    "nothing": lambda b: b.clear(),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_board_is_refused_in_a_sentence(name: str, board: dict[str, Any]) -> None:
    broken = copy.deepcopy(board)
    BROKEN[name](broken)
    with pytest.raises(ReidbenchError, match=r"^not a valid recorded board[^\n]*$"):
        recorded_plan(broken)


def test_deep_values_and_nan_are_refused(board: dict[str, Any]) -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    with pytest.raises(ReidbenchError, match="too deeply"):
        recorded_plan({**board, "values": [*board["values"], {"x": deep}]})
    with pytest.raises(ReidbenchError, match="prepare_seed"):
        recorded_plan({**board, "prepare_seed": float("nan")})


def test_images_of_ones_own_data_stay_out_of_a_page_from_a_board_without_places(
    market: Path, matrix: Callable[..., Path], registry: Registry
) -> None:
    """A data set that had a root is none that was rendered, though the board does not say where it is."""
    the_plan = planned(matrix(), registry)
    for stage in again(the_plan).stages.values():
        if stage.kind == "data":
            assert stage.root == ""
    assert again(the_plan).benchmark.sha256 == the_plan.benchmark.sha256 != ""


def test_what_validation_makes_of_data_is_recorded(tmp_path: Path, registry: Registry) -> None:
    """Derived data sets, trial tasks and `validate:`; a file without them has the very board that it had before."""
    text = """
data: {a: {use: synthetic, seed: 1}, b: {use: synthetic, seed: 2}, msmt: {use: msmt17-v1, root: .}}
tasks:
  t: {source: {use: a, identities: 0.5, subset_seed: 3}, target: b, auxiliary: a, VALIDATE}
  u: {source: b, target: a}
VALIDATION
backbone: resnet-tiny
methods: {bot: {finetune: bot}}
"""
    file = tmp_path / "m.yaml"
    file.write_text(text.replace("VALIDATE", "validate: {identities: 0.2, seed: 5}").replace("VALIDATION", ""))
    given = reader.read(file, registry)
    data, tasks = trial_tasks(given, given.tasks[0], "source-val")
    queries = replace(given.data["msmt"], name="q", held_out={"queries": "validation"}, origin="msmt")
    trials = replace(given, data={**given.data, **data, "q": queries}, tasks=(*given.tasks[1:], *tasks))
    the_plan = plan.expand(replace(trials, validate=Validation("data", data="a"), methods=given.methods))
    shown = again(the_plan)
    assert shown.benchmark.tasks == the_plan.benchmark.tasks
    assert shown.benchmark.validate == Validation("data", data="a")
    for name, source in the_plan.benchmark.data.items():
        found = shown.benchmark.data[name]
        assert (found.held_out, found.origin) == (source.held_out, source.origin)
    held_out = {key: stage.held_out for key, stage in the_plan.stages.items()}
    assert {key: stage.held_out for key, stage in shown.stages.items()} == held_out
    assert any(held_out.values())
    file.write_text(text.replace(", VALIDATE", "").replace("VALIDATION", ""))
    board = json.dumps(record(planned(file, registry)))
    assert not [word for word in ('"held_out"', '"validate"', '"origin"', '"test":') if word in board]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"held_out": {"identities": "all"}}, "held_out.identities"),
        ({"held_out": {"files": 3}}, "held_out.files"),
    ],
)
def test_a_board_with_another_part_held_out_is_refused(
    what: dict[str, Any], words: str, tmp_path: Path, registry: Registry
) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("data: {a: {use: synthetic}}\ntasks: {t: {source: a, target: a}}\nbackbone: resnet-tiny\n"
                    "methods: {bot: {finetune: bot}}\n")  # fmt: skip
    board = record(planned(file, registry))
    for where in ("data", "stages"):
        changed = copy.deepcopy(board)
        changed[where][0] |= what
        with pytest.raises(ReidbenchError, match=rf"{where}\.0\.{words}"):
            recorded_plan(changed)


def test_tasks_keep_their_own_evaluators(tmp_path: Path, registry: Registry) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(
        "data: {w: {use: synthetic, size: tiny}}\n"
        "tasks:\n"
        "  a: {source: w, target: w, evaluate: [cosine, {use: k-reciprocal, k1: 4}]}\n"
        "  b: {source: w, target: w, evaluate: {use: cosine, camera: none}}\n"
        "backbone: resnet-tiny\n"
        "methods: {untrained: {finetune: none}}\n"
    )
    first = planned(file, registry)
    second = again(first)
    assert [(row.task, row.evaluator) for row in second.rows] == [(row.task, row.evaluator) for row in first.rows]
    assert [task.judges for task in second.benchmark.tasks] == [task.judges for task in first.benchmark.tasks]
    store = filled(first, tmp_path / "store")
    assert texts(first, store) == texts(second, store)
    forged = json.loads(json.dumps(record(first, ())))
    forged["tasks"][0]["judges"] = ["somebody"]
    with pytest.raises(ReidbenchError, match="names an unknown evaluator"):
        recorded_plan(forged, None)
