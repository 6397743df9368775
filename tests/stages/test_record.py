"""Seconds of a component's own work, by a clock that only the parts of a stage move on."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from reidbench.stages import record
from reidbench.stages.record import Clock, Record
from reidbench.store.artifacts import Store
from reidbench.testing import make_plugin, run_matrix

HAND = "now = 0.0\n"
DECLARATION = """
import hand
from reidbench import Component, hookimpl


@hookimpl
def reidbench_backbones():
    yield Component("slow-net", "slow_code:build")


@hookimpl
def reidbench_finetuners():
    yield Component("slow", "slow_code:finetune")
"""
CODE = """
import hand
from reidbench.training import Backbone, BackboneEmbedder, Features, Preprocess

hand.now += 100.0  # what it costs to import


class Net(Backbone):
    dim = 3
    def forward(self, images):
        return Features(images, images.mean((2, 3)))


def build(params, image_size):
    hand.now += 1000.0
    return Net()


def finetune(ctx):
    hand.now += 4.0
    network = ctx.backbone()
    ctx.fabric
    for epoch in ctx.checkpoint.epochs(2):
        hand.now += 0.5
    return BackboneEmbedder(network, Preprocess(ctx.image_size))
"""
MATRIX = """
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {root}}}}}
tasks: {{t: {{source: tiny, target: tiny}}}}
backbone: slow-net
methods: {{m: {{finetune: slow}}}}
"""


class Hand:
    """A clock's hand, moved by the test."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        patch.setattr(record, "time", SimpleNamespace(monotonic=lambda: self.now))


def test_only_what_runs_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    hand, clock = Hand(monkeypatch), Clock()
    hand.now += 7
    with clock.running():
        hand.now += 2
        with clock.paused():
            hand.now += 50
            with clock.running():
                hand.now += 1
        hand.now += 3
        assert clock.seconds == 6
    hand.now += 9
    assert clock.seconds == 6
    with pytest.raises(ValueError, match="boom"), clock.running():
        hand.now += 1
        raise ValueError("boom")
    hand.now += 9
    assert clock.seconds == 7


def test_a_resumed_stage_counts_the_epochs_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    hand, first, second = Hand(monkeypatch), Record(lambda event: None), Record(lambda event: None)
    with first.clock.running():
        hand.now += 30
        state = first.state_dict()
        hand.now += 5  # lost with the process: it is done again
    with second.clock.running():
        hand.now += 2
        second.load_state_dict(state)
        hand.now += 10
    assert second.clock.seconds == 40
    state.pop("seconds")  # a checkpoint of an older version
    Record(lambda event: None).load_state_dict(state)


def test_training_seconds_leave_start_up_out(tmp_path: Path, market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither imports, nor the making of networks and of the fabric, nor the harness's own reading and writing."""
    site = tmp_path / "site"
    make_plugin(site, "slow_plugin", DECLARATION)
    (site / "hand.py").write_text(HAND)
    (site / "slow_code.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-slow-plugin")
    import hand  # type: ignore[import-not-found]

    monkeypatch.setattr(record, "time", SimpleNamespace(monotonic=lambda: hand.now))
    board = run_matrix(MATRIX.format(root=market), tmp_path)
    (result,) = board.results
    assert result.status == "ok", result.error
    store = Store(tmp_path / "store")
    made = [store.manifest(key).manifest for key in sorted(store.keys())]
    (tuned,) = [manifest for manifest in made if manifest["stage"]["kind"] == "finetune"]
    assert tuned["work_seconds"] == 5.0
    assert hand.now >= 1105
    for name in ("hand", "slow_code", "slow_plugin"):
        sys.modules.pop(name, None)


def test_a_note_is_a_sentence_of_some_length() -> None:
    """Blank notes are dropped, and one that lists a whole data set would be printed next to every row."""
    said: list[str] = []
    found = Record(lambda event: said.append(event["text"]))
    for text in ("", " \n", "two were left out\n", "two were left out", "x" * 5000):
        found.note(text)
    assert found.notes == said == ["two were left out", "x" * 2000 + " ... (3000 more characters)"]
