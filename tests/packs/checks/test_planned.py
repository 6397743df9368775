"""The reason why a row has no result: its wording may differ, whether there is one may not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.packs.checks.findings import Findings
from reidbench.packs.checks.planned import planned_again
from reidbench.packs.recorded import record
from reidbench.registry.plugins import Registry

MATRIX = """
image_size: [32, 16]
seeds: [0]
data: {tiny: {use: market-folder, root: "${TINY}"}}
tasks: {unsupervised: {target: tiny}}
backbone: {use: resnet-tiny, width: 4}
methods: {bot: {finetune: {use: bot, epochs: 1, identities: 2, images: 2}}}
"""


class Contents:
    """A pack without results."""

    digest = ""
    manifests: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, board: dict[str, Any]) -> None:
        self.board = board
        self.text: str = board["text"]

    def results(self, key: str) -> dict[str, bytes]:
        raise AssertionError(key)

    def features(self, key: str) -> None:
        raise AssertionError(key)

    def rounded(self, key: str) -> None:
        raise AssertionError(key)


Planned = Callable[[Callable[[dict[str, Any]], None]], Findings]


@pytest.fixture
def planned(market: Path, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planned:
    """Plans the matrix file again, after a change of the one row of its board, and compares."""
    monkeypatch.setenv("TINY", str(market))
    file = tmp_path / "mine.yaml"  # without a title: its name is the title, also of the copy that is planned again
    file.write_text(MATRIX)
    board = record(plan.expand(reader.read(file, registry)))

    def compare(change: Callable[[dict[str, Any]], None]) -> Findings:
        (row,) = board["rows"]
        assert row["reason"]
        assert row["key"] is None
        change(row)
        findings = Findings()
        assert planned_again(Contents(board), {"tiny": market}, registry, findings) is not None
        return findings

    return compare


def test_the_same_board_has_no_findings(planned: Planned) -> None:
    assert planned(lambda row: None) == Findings()


def test_another_wording_of_a_reason_is_a_note(planned: Planned) -> None:
    found = planned(lambda row: row.update(reason="in other words"))
    assert not found.mismatches
    (note,) = found.notes
    assert note.startswith("the reasons of 1 missing result are worded differently here, first bot on")


def test_no_reason_is_a_mismatch(planned: Planned) -> None:
    (mismatch,) = planned(lambda row: row.update(reason="")).mismatches
    assert mismatch.endswith("planned here with a different reason")


def test_another_status_is_a_mismatch(planned: Planned) -> None:
    (mismatch,) = planned(lambda row: row.update(lacks="failed", reason="in other words")).mismatches
    assert mismatch.endswith("planned here with a different lacks")
