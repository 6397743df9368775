"""Steps, images, memory and disk at full scale, against arithmetic by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from reidbench import Amount, Workload
from reidbench.data import Counts, Published
from reidbench.execution.executors.inline import Inline
from reidbench.execution.progress import Lines
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import DataInput, Stage
from reidbench.registry import plugins
from reidbench.rehearsal.amounts import amounts_of
from reidbench.rehearsal.printed import duration, gibibytes, scale_table
from reidbench.rehearsal.rehearse import Rehearsal, rehearse
from reidbench.rehearsal.scale import Disk, Line, Scale
from reidbench.store.artifacts import Store
from reidbench.testing import make_plugin

PLUGIN = Path(__file__).parents[1] / "support" / "rehearsed_plugin.py"
# The set has 1000 published train images of 50 identities, 10 queries and 90 gallery images. A batch is 32, 200 epochs.
# At 8x8 pixels an image has 3 * 64 numbers and its map 4 * 64; the map is kept before batch norm and behind ReLU.
KEPT = (3 * 64 + 4 * 64 + 4 * 64) * 4
PARAMETERS = 3 * 4 + 4 + 4 + 4


@pytest.fixture
def rehearsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Rehearsal]:
    """Rehearses a file whose parts are given as YAML text."""
    make_plugin(tmp_path / "site", "rehearsed_plugin", PLUGIN.read_text())
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "rehearsed_plugin", raising=False)
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-rehearsed-plugin")

    def run(**parts: str) -> Rehearsal:
        defaults = {
            "image_size": "[8, 8]",
            "seeds": "[0, 1]",
            "data": "{mine: {use: people, root: /nowhere}}",
            "tasks": "{mine: {source: mine, target: mine}}",
            "backbone": "hand",
            "methods": "{short: {finetune: short}}",
        }
        file = tmp_path / "matrix.yaml"
        file.write_text("".join(f"{key}: {value}\n" for key, value in {**defaults, **parts}.items()))
        registry = plugins.load()
        benchmark = reader.read(file, registry, must_exist=False)
        return rehearse(benchmark, registry, tmp_path / "rehearsal", Inline(), Lines(Console(stderr=True)))

    return run


@pytest.mark.parametrize(
    ("validate", "source", "batches"),
    [
        ("{identities: 0.2}", "mine", 25),  # 40 of 50 identities: 800 of 1000 images
        ("{identities: 30}", "mine", 12),  # 400 images
        ("{identities: 0.5}", "{use: mine, identities: 0.4}", 6),  # 20, then 10: 200 images
    ],
)
def test_what_is_held_out_is_not_trained_on(
    validate: str, source: str, batches: int, rehearsed: Callable[..., Rehearsal]
) -> None:
    tasks = f"{{mine: {{source: {source}, target: mine}}}}"
    data = "{mine: {use: people, root: /nowhere, identities: 6}}"  # of the stand-in
    found = rehearsed(data=data, seeds="[0]", validate=validate, tasks=tasks, methods="{m: {finetune: looking}}")
    assert found.failed == {}
    assert [line.workload for line in found.lines] == [Workload(200 * batches, 32)]


@pytest.mark.slow
def test_trainings_at_full_scale(rehearsed: Callable[..., Rehearsal]) -> None:
    """A tenth of the identities are 5, with 100 images: 3 whole batches an epoch. Two devices halve a batch."""
    found = rehearsed(
        devices="{finetune: 2}",
        tasks="{mine: {source: mine, target: mine}, few: {source: {use: mine, identities: 0.1}, target: mine}}",
        methods="{short: {finetune: short}, parts: {finetune: {use: short, accumulate: 2}}, long: {finetune: long}, "
        "wrong: {finetune: doubtful}}",
    )
    assert found.failed == {}
    whole, few = Workload(200 * 31, 32), Workload(200 * 3, 32)
    memory, half = (PARAMETERS * 16 + images * KEPT for images in (16, 8))
    assert [(line.stages, line.size, line.workload, line.memory) for line in found.lines] == [
        (2, (8, 8), whole, memory),
        (2, (8, 8), few, memory),
        (2, (8, 8), whole, half),
        (2, (8, 8), few, half),
        *[(2, (8, 8), None, None)] * 4,
    ]
    assert found.lines[0].label.startswith("finetune short [mine, 2 seeds")
    assert {note.partition(" unknown: ")[0] for note in found.notes} == {
        "the steps of doubtful are",
        "finetuner long declares no `rehearsal`; it was run at full length",
        "finetuner doubtful declares no `rehearsal`; it was run at full length",
    }
    files = [found.store.path(stage.key) for stage in found.short.stages.values() if stage.kind == "finetune"]
    networks = sum(file.stat().st_size for folder in files for file in folder.glob("*.safetensors"))
    features = 16 * (10 + 90) * 4 * 4  # of four methods, two tasks and seeds: 100 images, 4 numbers of 4 bytes
    assert found.disk == Disk(2 * networks + features, 0)


@pytest.mark.parametrize(("per_second", "time", "total"), [(None, "unknown", "unknown"), (100, "66.1 min", "66.2 min")])
def test_the_table_that_is_printed(per_second: float | None, time: str, total: str) -> None:
    """6,200 steps of 32 images with two seeds are 396,800 images: 3,968 seconds at 100 images a second."""
    lines = [
        Line("finetune short [mine, 2 seeds]", 2, (256, 128), Workload(6200, 32), 3 * 2**30),
        Line("pretrain some [seed 0]", 1, (64, 32), Workload(10, 50), 2**20),
        Line("adapt other [seed 0]", 1, (256, 128), None, None),
    ]
    text = scale_table(lines, Disk(5 * 2**29, 1), per_second)
    rows = [line.split("  ") for line in text.splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells[2] == ["finetune short [mine, 2 seeds]", "256x128", "32", "6,200 x 2", "396,800", "3.0 GiB", time]
    assert cells[4] == ["adapt other [seed 0]", "256x128", *["unknown"] * 5]
    missing = ", and 1 of 3 trainings unknown"
    assert f"at full scale: 12,410 steps, 397,300 images{missing}; most memory 3.0 GiB; time {total}" in text
    assert "disk: 2.5 GiB of networks and features, and 1 stages unknown" in text


def test_units() -> None:
    assert [gibibytes(count) for count in (None, 2**20, 2**29, 2**31)] == ["unknown", "1.0 MiB", "0.5 GiB", "2.0 GiB"]
    assert [duration(images, 10) for images in (600, 71_990, 720_000)] == ["1.0 min", "120.0 min", "20.0 h"]


class Fake:
    """Data sets whose published counts are given."""

    def __init__(self, **published: Published) -> None:
        self.published = published
        self.data = dict.fromkeys([*published, "nobody"], SimpleNamespace(held_out={}, origin=""))

    def of(self, name: str) -> Any:
        """The one of that name."""
        return type("Named", (), {"published": self.published.get(name)})


def stage(*data: tuple[str, str, str]) -> Stage:
    """A stage that is given (role, data set, part)."""
    inputs = tuple(DataInput(role, name, "key", part, hidden=True) for role, name, part in data)
    return Stage("key", "adapt", "some", {}, data=inputs)


def test_amounts_of_several_sets_and_of_tests() -> None:
    one = Published({"train": Counts(100, 10, 3), "query": Counts(5, 4, 3), "gallery": Counts(50, 7, 3)}, "here")
    pool, all_of_it = Published({"train": Counts(7000)}, "here"), Published({"all": Counts(30, 3, 2)}, "here")
    lists: Any = Fake(one=one, pool=pool, whole=all_of_it)
    both = stage(("pool", "one", "train"), ("pool", "pool", "train"), ("target", "one", "test"))
    assert amounts_of(both, lists, ()) == {"pool": Amount(7100), "target": Amount(55, 7, 3)}
    assert amounts_of(stage(("source", "whole", "train")), lists, ()) == {"source": Amount(30, 3, 2)}
    assert amounts_of(stage(("source", "one", "train"), ("source", "nobody", "train")), lists, ()) == {}
    prepared = amounts_of(stage(("split", "one", "train")), lists, ())  # which may call it what it likes
    assert prepared["target"] == prepared["source"] == prepared["split"] == Amount(100, 10, 3)


@pytest.mark.parametrize(
    ("use", "params", "kept"),
    [
        ("random", {"keep": 0.25}, 251),  # of 1001, rounded up as the selector does
        ("cfs", {"keep": 0.6}, 601),
        ("list", {"file": "list.txt", "keep": 0.5}, None),  # the half of a list of unknown length
        ("list", {"file": "list.txt", "keep": 1.0, "count": 40}, 40),
        ("list", {"file": "list.txt", "count": 4000}, 1001),
        ("all", {}, None),  # which says neither, and was not run
    ],
)
def test_what_a_selection_keeps(use: str, params: dict[str, Any], kept: int | None, tmp_path: Path) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(
        "data: {d: {use: synthetic, world: plaza, size: tiny}}\ntasks: {t: {target: d}}\n"
        "backbone: resnet-tiny\nmethods: {m: {finetune: none}}\n"
    )
    registry = plugins.load()
    full = plan.expand(reader.read(file, registry))
    scale = Scale(full, full, Store(tmp_path / "store"), registry, ())
    assert scale._kept(Stage("k", "select", use, params), 1001) == kept
