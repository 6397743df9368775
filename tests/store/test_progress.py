"""Progress of running stages: written by drivers, read by anyone, worthless once the claim is dead."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from reidbench.store import cleaning, locks, progress
from reidbench.store.artifacts import Store
from reidbench.store.progress import Progress

KEY = "a" * 32


def test_progress_is_read_as_it_was_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    written = Progress(3, 20, 1.5, {"epoch": 3.0, "loss": 0.51234})
    progress.write(store, KEY, written)
    assert progress.read(store, KEY) == written
    assert written.words == "epoch 3 of 20, loss 0.512"
    assert written.remaining == pytest.approx(25.5)
    progress.remove(store, KEY)
    assert progress.read(store, KEY) == Progress()
    assert (Progress().words, Progress().remaining) == ("", None)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "null", '{"done": -1, "total": 2, "pace": null, "metrics": {}}',
     '{"done": 1e400, "total": 2, "pace": null, "metrics": {}}',
     '{"done": 1, "total": 2, "pace": NaN, "metrics": {}}', '{"done": 1, "total": 2, "pace": null, "metrics": [1]}'],
)  # fmt: skip
def test_damaged_progress_is_none(tmp_path: Path, content: str) -> None:
    store = Store(tmp_path)
    (tmp_path / progress.FOLDER).mkdir()
    (tmp_path / progress.FOLDER / f"{KEY}.json").write_text(content)
    assert progress.read(store, KEY) == Progress()


def test_a_store_that_cannot_be_written_loses_progress_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path / "file")
    store.root.write_text("no folder")
    progress.write(store, KEY, Progress(1, 2))
    progress.remove(store, KEY)
    assert store.root.read_text() == "no folder"


@pytest.mark.parametrize(
    ("metrics", "words"),
    [({"loss": 1.0, "loss_id": 2.0}, "loss 1"), ({"triplet_loss": 0.25}, "triplet_loss 0.25"), ({"lr": 1.0}, ""),
     ({"loss": math.nan}, "loss nan")],
)  # fmt: skip
def test_the_loss_has_its_name(metrics: dict[str, float], words: str) -> None:
    assert Progress(metrics=metrics).loss == words


def test_a_claim_is_living_while_its_process_is(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert progress.claimed(store, KEY) is None
    with store.claim(KEY) as mine:
        assert mine
        found = progress.claimed(store, KEY)
        assert found is not None
        assert "process" in found.owner
        assert found.seconds is not None
        assert 0 <= found.seconds < 60
        assert 0 <= found.heartbeat < 60
    assert progress.claimed(store, KEY) is None
    dead = {**locks.identity(), "pid": 2**22 + 1, "since": 1}  # more than Linux gives
    store.claim_file(KEY).write_text(json.dumps(dead))
    assert progress.claimed(store, KEY) is None
    assert store.claim_file(KEY).exists()  # reading changes nothing


def test_runs_of_some_keys(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with store.needing([KEY]):
        assert len(progress.runs_of(store, {KEY, "b" * 32})) == 1
        assert progress.runs_of(store, {"b" * 32}) == []
    assert progress.runs_of(store, {KEY}) == []


def test_clean_removes_what_a_dead_driver_left(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    progress.write(store, KEY, Progress(1, 2))
    with store.claim(KEY):
        assert cleaning.leftovers(store, {KEY}) == []
    (found,) = cleaning.leftovers(store, {KEY})
    assert found.what == "progress of a dead worker"
    assert cleaning.remove(store, found)
    assert progress.read(store, KEY) == Progress()
