"""Nothing is chosen on the test part: with other labels and other pictures there, all that is chosen stays the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reidbench import report
from reidbench.api.display import Silent
from reidbench.execution import executors, runner
from reidbench.matrix.benchmark import Benchmark, DataSource, Task
from reidbench.matrix.plan import expand
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.matrix.validation import trial_tasks
from reidbench.registry.plugins import Registry
from reidbench.store.artifacts import Store
from reidbench.testing import write_market_folder

TEST = ("query", "bounding_box_test")
RATES = (3e-4, 3e-2)
BOT = "use: bot, epochs: 3, identities: 4, images: 2"


def harder(folder: Path, seed: int) -> Path:
    """The same persons in noise, so that no network finds them all."""
    generator = np.random.default_rng(seed)
    for file in sorted(folder.rglob("*.png")):
        noise = generator.integers(0, 256, (32, 16, 3))
        mixed = 0.15 * np.asarray(Image.open(file)) + 0.85 * noise
        Image.fromarray(mixed.astype(np.uint8)).save(file)
    return folder


def poison(folder: Path) -> None:
    """Random persons, those of train among them, and noise; some images more and some fewer."""
    generator = np.random.default_rng(99)
    for part in TEST:
        for number, file in enumerate(sorted((folder / part).glob("*.png"))):
            file.unlink()
            for more in range(number % 3):
                name = f"{generator.integers(1, 40):04d}_c{generator.integers(1, 4)}s1_{number:06d}_0{more}.png"
                noise = generator.integers(0, 256, (32, 16, 3)).astype(np.uint8)
                Image.fromarray(noise).save(folder / part / name)


def text(folder: Path) -> str:
    data = ", ".join(f"{name}: {{use: market-folder, root: {folder / name}}}" for name in ("one", "two", "third"))
    rows = "\n".join(f"  lr {rate}: {{finetune: {{{BOT}, lr: {rate}}}}}" for rate in RATES)
    return f"""
image_size: [32, 16]
validate: {{identities: 0.4}}
data: {{{data}}}
tasks:
  in one: {{source: one, target: one}}
  to two: {{source: one, target: two, adapt_on: test}}
  by another: {{source: one, target: two, validate: {{data: third}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods:
{rows}
  adapted: {{finetune: {{{BOT}}}, adapt: {{use: adabn}}}}
  epoch: {{finetune: {{{BOT}, lr: 0.01, choose_epoch: best}}}}
"""


def trials(benchmark: Benchmark) -> Plan:
    """Every method on every trial task."""
    data: dict[str, DataSource] = {}
    tasks: list[Task] = []
    for task in benchmark.tasks:
        select = "held-out-domain" if task.validate else "source-val"
        more, own = trial_tasks(benchmark, task, select)
        data, tasks = data | more, [*tasks, *own]
    return expand(replace(benchmark, data={**benchmark.data, **data}, tasks=tuple(tasks)))


def run(plan: Plan, store: Store) -> dict[tuple[str, str], float]:
    """mAP by method and task."""
    runner.Runner(plan, store, executors.make("inline", None), Silent(), frozenset(), 0).run()
    board = report.collect(plan, store)
    assert {(result.status, result.error) for result in board.results if result.row.key} == {("ok", "")}
    return {(one.row.method, one.row.task): one.metrics["mAP"] for one in board.results if one.row.key}


def epochs(plan: Plan, store: Store) -> list[Any]:
    """Validation images and choices of the trainings, and their weights."""
    found = []
    for key, stage in plan.stages.items():
        if any(given.role == "validation" for given in stage.data):
            log = (store.path(key) / "log.jsonl").read_text()
            files = store.manifest(key).manifest["files"]
            weights = [files[name]["sha256"] for name in sorted(files) if name.endswith(".safetensors")]
            found.append([[json.loads(line) for line in log.splitlines()], store.manifest(key).notes, weights])
    return found


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worlds")
    for seed, name in enumerate(("one", "two", "third")):
        harder(write_market_folder(folder / name, identities=10, cameras=3, seed=seed), seed)
    return folder


@pytest.fixture
def planned(tmp_path: Path, registry: Registry) -> Callable[[Path], Benchmark]:
    def read(folder: Path) -> Benchmark:
        file = folder / "matrix.yaml"
        file.write_text(text(folder))
        return reader.read(file, registry)

    return read


def test_no_stage_of_a_trial_is_given_the_test_part(worlds: Path, planned: Callable[[Path], Benchmark]) -> None:
    """Neither of the target nor of any other data set but those that are held out."""
    plan = trials(planned(worlds))
    tested = {given.data for stage in plan.stages.values() for given in stage.data if given.part == "test"}
    assert tested == {"one (40 % of identities held out)", "third"}


@pytest.mark.slow
def test_poisoned_test_parts_change_nothing_that_is_chosen(
    worlds: Path, planned: Callable[[Path], Benchmark], tmp_path: Path
) -> None:
    found = {}
    for name in ("clean", "poisoned"):
        folder = Path(shutil.copytree(worlds, tmp_path / name))
        if name == "poisoned":
            poison(folder / "one")
            poison(folder / "two")
        benchmark, store = planned(folder), Store(tmp_path / f"{name}-store")
        judged = run(trials(benchmark), store)
        final = expand(replace(benchmark, tasks=benchmark.tasks[:1]))
        found[name] = judged, run(final, store), epochs(final, store)
    (judged, tested, chosen), (again, poisoned, same) = found["clean"], found["poisoned"]
    assert judged == again  # to the last bit
    assert chosen == same
    assert len({value for (method, _), value in judged.items() if method.startswith("lr")}) > 3
    assert len({line["validation_mAP"] for line in chosen[0][0]}) > 1
    assert all(tested[cell] != poisoned[cell] for cell in tested)  # the poison works
