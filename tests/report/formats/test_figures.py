"""Charts: CMC and costs by hand calculation from a store written by hand, and files that are pictures."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from reidbench import report
from reidbench.errors import ReidbenchError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry.plugins import Registry
from reidbench.report.formats import extras, figures
from reidbench.report.formats.curves import costs, curves
from reidbench.report.provenance import Evidence
from reidbench.store.artifacts import Store

METHODS = """{"a $b$ <i>": {finetune: none}, "_hidden": {finetune: mgn}, later: {finetune: bot}}"""
FIRST_HIT = [1, 1, 3, 0]  # three valid queries: two hit at rank 1, one at rank 3


def publish(store: Store, key: str, seconds: float, metrics: dict[str, float], **files: object) -> None:
    with store.publishing(key) as (folder, manifest):
        manifest |= {"seconds": seconds, "metrics": metrics, "versions": {"numpy": "1"}, "platform": "p"}
        manifest |= {"plugin": "by hand", "source": "0" * 32}
        for name, content in files.items():
            if name == "work_seconds":
                manifest[name] = content
            elif name == "per_query":
                np.savez(folder / "per_query.npz", **content)  # type: ignore[arg-type]
            else:
                (folder / f"{name}.json").write_text(json.dumps(content))


@pytest.fixture
def made(matrix: Callable[..., Path], registry: Registry, tmp_path: Path) -> tuple[Plan, Store]:
    """Two methods over two seeds with results, one without; each fine-tuning took 10, then 30 seconds."""
    file = matrix(methods=METHODS, seeds="[0, 1]")
    the_plan, store = plan.expand(reader.read(file, registry)), Store(tmp_path / "store")
    for row in the_plan.rows:
        if row.method == "later" or row.key is None:
            continue
        (embed,) = the_plan.stages[row.key].needs
        (finetune,) = [key for key in the_plan.stages[embed].needs if the_plan.stages[key].kind == "finetune"]
        if not store.has(finetune):
            publish(store, finetune, 10.0 + 20 * row.seed, {})
        per_query = {"first_hit": np.array(FIRST_HIT), "valid": np.array([True, True, True, False])}
        notes = {"rules": {"invalid": "drop"}}
        metrics = {"mAP": 0.2 + 0.2 * row.seed, "cmc1": 2 / 3, "cmc5": 1.0}
        if row.method == "_hidden":
            metrics["cmc1"] = 0.5  # not what its first hits say: an evaluator that counts in another way
        publish(store, row.key, 0.1, metrics, per_query=per_query, notes=notes)
    return the_plan, store


def test_cmc_is_the_share_of_valid_queries_hit_by_each_rank(made: tuple[Plan, Store]) -> None:
    the_plan, store = made
    board, evidence = report.collect(the_plan, store), Evidence(the_plan, store)
    whole, points = curves(board, evidence, "tiny", "cosine")
    assert (whole.method, points.method) == ("a $b$ <i>", "_hidden")
    assert whole.ranks == tuple(range(1, 51))
    assert whole.values[:3] == pytest.approx((2 / 3, 2 / 3, 1.0))
    assert whole.values[-1] == 1.0
    assert (points.ranks, points.values) == ((1, 5), (0.5, 1.0))  # only what the evaluator said


def test_costs_are_all_training_behind_a_row(made: tuple[Plan, Store]) -> None:
    the_plan, store = made
    board = report.collect(the_plan, store)
    found = {cost.method: cost for cost in costs(board, Evidence(the_plan, store), "tiny", "cosine", "mAP")}
    assert set(found) == {"a $b$ <i>", "_hidden"}
    assert found["_hidden"].amount == pytest.approx((10 + 30) / 2)  # evaluation is not training
    assert found["_hidden"].summary.mean == pytest.approx(0.3)


def test_costs_are_the_methods_own_work_where_that_is_known(made: tuple[Plan, Store]) -> None:
    """Of 10 and 30 seconds 4 and 5 were work; the other method was made before work was timed."""
    the_plan, store = made
    for stage in list(the_plan.stages.values()):
        if stage.kind == "finetune" and stage.use == "none":
            store.set_aside(stage.key)
            publish(store, stage.key, 10.0 + 20 * stage.seed, {}, work_seconds=4.0 + stage.seed)
    evidence = Evidence(the_plan, store)
    found = {cost.method: cost for cost in costs(report.collect(the_plan, store), evidence, "tiny", "cosine", "mAP")}
    assert found["a $b$ <i>"].amount == pytest.approx((4 + 5) / 2)
    assert found["_hidden"].amount == pytest.approx((10 + 30) / 2)
    made_by = evidence.provenance(report.collect(the_plan, store), "a $b$ <i>", "tiny", "cosine").made
    assert made_by[0].seconds == 4.0


def test_stages_of_one_label_are_distinguished(made: tuple[Plan, Store]) -> None:
    the_plan, store = made
    same = {key: dataclasses.replace(stage, label="the same") for key, stage in the_plan.stages.items()}
    plan_of_same = Plan(the_plan.benchmark, same, the_plan.rows)
    board = report.collect(plan_of_same, store)
    found = Evidence(plan_of_same, store).provenance(board, "_hidden", "tiny", "cosine").made
    assert len({one.label for one in found}) == len({one.key for one in found}) == 3
    assert all(one.label == f"the same ({one.key[:8]})" for one in found)


def test_a_cost_with_a_part_that_is_gone_is_unknown(made: tuple[Plan, Store]) -> None:
    the_plan, store = made
    gone = next(s.key for s in the_plan.stages.values() if s.kind == "finetune" and s.use == "none")
    store.set_aside(gone)
    found = costs(report.collect(the_plan, store), Evidence(the_plan, store), "tiny", "cosine", "mAP")
    assert [cost.method for cost in found] == ["_hidden"]


@pytest.mark.slow
def test_figures_are_pictures_and_the_same_each_time(made: tuple[Plan, Store], tmp_path: Path) -> None:
    the_plan, store = made
    board, evidence = report.collect(the_plan, store), Evidence(the_plan, store)
    files = figures.draw(board, evidence, tmp_path / "one")
    assert [file.name for file in files] == [
        f"{name}.{form}" for name in ("cmc_tiny", "seconds_tiny", "heatmap") for form in ("png", "svg")
    ]
    for file in files:
        if file.suffix == ".png":
            with Image.open(file) as picture:
                assert min(picture.size) > 200
                assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 10
        else:
            assert ElementTree.parse(file).getroot().tag.endswith("svg")  # noqa: S314 - written here
            assert b"<dc:date>" not in file.read_bytes()
    again = figures.draw(board, evidence, tmp_path / "two")
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in files]


def test_names_of_files_stay_apart() -> None:
    names = figures._Names()
    assert names("cmc", "a->b") == "cmc_a-to-b"
    assert names("cmc", "A / ->B") == "cmc_a-to-b_2"
    assert names("cmc", "../../etc") == "cmc_..-..-etc"  # no separator is left: it stays in its folder
    assert names("cmc", "人") == "cmc_x"


def test_a_missing_library_is_one_sentence(
    made: tuple[Plan, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    the_plan, store = made
    with pytest.raises(
        ReidbenchError, match=r"^drawing figures requires matplotlib: pip install 'reidbench\[report\]'$"
    ):
        report.table(the_plan, store, "md", report.Options(), figures=tmp_path / "f")
    with pytest.raises(ReidbenchError, match=r"^the HTML page requires jinja2, plotly, itables: pip install"):
        report.table(the_plan, store, "html", report.Options())


def test_a_folder_that_cannot_be_is_one_sentence(made: tuple[Plan, Store], tmp_path: Path) -> None:
    the_plan, store = made
    (tmp_path / "file").write_text("")
    with pytest.raises(ReidbenchError, match="cannot be written"):
        figures.draw(report.collect(the_plan, store), Evidence(the_plan, store), tmp_path / "file")
