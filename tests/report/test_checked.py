"""The level of verification of results from elsewhere is part of the protocol of each row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench import report
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry.plugins import Registry
from reidbench.store.artifacts import Store
from reidbench.store.manifests import CHECKED


@pytest.fixture
def the_plan(matrix: Callable[..., Path], registry: Registry) -> Plan:
    methods = "{untrained: {finetune: none}, other: {finetune: {use: none, image_size: [64, 32]}}}"
    return plan.expand(reader.read(matrix(seeds="[0, 1, 2]", methods=methods), registry))


def publish(store: Store, key: str, checked: str) -> None:
    with store.publishing(key) as (_, manifest):
        manifest |= {"metrics": {"mAP": 0.5}, **({"checked": checked} if checked else {})}


def protocols(the_plan: Plan, store: Store, method: str = "untrained") -> set[str]:
    found = report.collect(the_plan, store).results
    return {result.row.protocol for result in found if result.status == "ok" and result.row.method == method}


@pytest.mark.parametrize("word", ["", *CHECKED])
def test_the_word_is_in_every_table(the_plan: Plan, tmp_path: Path, word: str) -> None:
    store = Store(tmp_path / "store")
    for row in the_plan.rows:
        publish(store, row.key or "", word if row.method == "untrained" else "")
    (protocol,) = protocols(the_plan, store)
    assert [one for one in CHECKED if one in protocol] == ([word] if word else [])
    assert not set(CHECKED) & set(" ".join(protocols(the_plan, store, "other")).split(", "))
    for form in report.FORMATS:
        assert protocol in report.table(the_plan, store, form, report.Options()), form


def test_several_words_of_one_mean_are_all_named_with_their_number(the_plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    rows = [row for row in the_plan.rows if row.method == "untrained"]
    for row, word in zip(rows, ("", "re-scored", "self-reported"), strict=True):
        publish(store, row.key or "", word)
    (protocol,) = protocols(the_plan, store)
    assert protocol.endswith(", self-reported (1 of 3), re-scored (1 of 3)")


def test_a_row_of_manifests_alone_keeps_its_word_and_notes(the_plan: Plan, tmp_path: Path) -> None:
    """The evaluation exists; of the stages behind it only the manifests do."""
    store, elsewhere = Store(tmp_path / "store"), Store(tmp_path / "elsewhere")
    row = next(row for row in the_plan.rows if row.method == "untrained")
    for stage in the_plan.only([row]).stages.values():
        with elsewhere.publishing(stage.key) as (_, manifest):
            manifest |= {"metrics": {}, "notes": [f"{stage.kind} noted"], "protocol": [f"a word of {stage.kind}"]}
        if stage.key != row.key:
            store.keep_record(stage.key, (elsewhere.path(stage.key) / "manifest.json").read_bytes())
    publish(store, row.key or "", "self-reported")
    board = json.loads(report.table(the_plan, store, "json", report.Options()))
    (found,) = (one for one in board["rows"] if one["status"] == "ok")
    assert found["protocol"].endswith("a word of finetune, a word of data, a word of embed, self-reported")
    assert [note.rpartition(": ")[2] for note in found["notes"]] == ["finetune noted", "data noted", "embed noted"]
