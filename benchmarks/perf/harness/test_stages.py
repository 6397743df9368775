"""Overhead of a stage: harness CPU seconds per stage, by how its process starts.

The stage is a fine-tuning whose component returns the given network (resnet-tiny, 4 channels wide), without any work or
inputs. The figure is all CPU time of this process and its children, from passing the stage to the executor until its
process is gone: starting it, imports, the claim, checks, building, saving and publishing the network. Each executor has
already run one stage, so that its server, or Ray, is running. Rounds rotate, and figures are medians over rounds;
elapsed time depends on the machine's load.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.perf.rounds import ratio
from reidbench.errors import ReidbenchError
from reidbench.execution import executors
from reidbench.execution.executor import Executor
from reidbench.execution.executors.starter import Starter
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store
from reidbench.testing import make_plugin, write_market_folder

ROUNDS = 7
PLUGIN = """
from reidbench import Component, hookimpl

@hookimpl
def reidbench_finetuners():
    yield Component("idle", "idle_code:finetune", traits=frozenset({"label-free"}))
"""
CODE = """
from reidbench.training import BackboneEmbedder, Preprocess

def finetune(ctx):
    return BackboneEmbedder(ctx.backbone(), Preprocess(ctx.image_size))
"""
MATRIX = """
title: Stages
image_size: [32, 16]
seeds: {seeds}
data: {{tiny: {{use: market-folder, root: {root}}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
evaluate: cosine
methods: {{idle: {{finetune: idle}}}}
"""


def cpu_of_all() -> float:
    """CPU seconds of this process and its children, including finished ones."""
    seconds = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            seconds += sum(process.cpu_times()[:4])  # user, system, and both of its finished children
        except psutil.NoSuchProcess:
            continue
    return seconds


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[StageSpec]]:
    """Fine-tunings that differ only in seed, in a store of the given name: one more than the rounds."""
    site = tmp_path / "site"
    make_plugin(site, "idle_plugin", PLUGIN)
    (site / "idle_code.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-idle-plugin")
    monkeypatch.setenv("REIDBENCH_CACHE", str(tmp_path / "cache"))
    root = write_market_folder(tmp_path / "market")
    file = tmp_path / "matrix.yaml"
    file.write_text(MATRIX.format(seeds=list(range(ROUNDS + 1)), root=root))
    the_plan = plan.expand(reader.read(file, plugins.load()))

    def of(name: str) -> list[StageSpec]:
        store = Store(tmp_path / name)
        store.prepare()
        stages = [stage for stage in the_plan.stages.values() if stage.kind == "finetune"]
        return [StageSpec.of(the_plan, stage, store) for stage in stages]

    return of


@contextmanager
def running(executor: Executor) -> Iterator[Executor]:
    try:
        yield executor
    finally:
        executor.stop()


def run(executor: Executor, spec: StageSpec) -> tuple[float, float]:
    """(CPU seconds, elapsed seconds) of a stage."""
    before, began = cpu_of_all(), time.monotonic()
    executor.submit(spec, lambda key, event: None)
    results: list[Any] = []
    while not results:
        results = list(executor.wait())
    passed = time.monotonic() - began
    assert results[0].status == "done", results[0].error
    time.sleep(0.2)  # for its guard to end
    return cpu_of_all() - before, passed


def in_rotation(
    ways: Mapping[str, Executor], specs: Mapping[str, Sequence[StageSpec]]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """CPU seconds and elapsed seconds of each executor by round."""
    names = list(ways)
    cpu: dict[str, list[float]] = {name: [] for name in names}
    passed: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        run(ways[name], specs[name][0])
    for number in range(ROUNDS):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            one = run(ways[name], specs[name][number + 1])
            cpu[name].append(one[0])
            passed[name].append(one[1])
    return cpu, passed


def test_harness_time_of_a_stage(
    benchmark: Any, specs: Callable[[str], list[StageSpec]], figure: Callable[..., None]
) -> None:
    """Forked by the server, against a fresh process."""
    with ExitStack() as stack:
        ways = {
            "forked": stack.enter_context(running(executors.Processes(1))),
            "fresh": stack.enter_context(running(executors.Processes(1, starter=Starter(forks=False)))),
        }
        cpu, passed = benchmark.pedantic(in_rotation, (ways, {name: specs(name) for name in ways}), rounds=1)
    saved = statistics.median(fresh - forked for fresh, forked in zip(cpu["fresh"], cpu["forked"], strict=True))
    figure("harness a stage, process", statistics.median(cpu["forked"]), "CPU s", most=0.15)
    figure("harness a stage, process, passed", statistics.median(passed["forked"]), "s", most=0.3)
    figure("harness a stage, fresh process", statistics.median(cpu["fresh"]), "CPU s")
    figure("harness a stage, process / fresh process", ratio(cpu, "forked", "fresh"), "")
    figure("imports that a stage is spared", saved, "CPU s")


def test_harness_time_of_a_stage_on_ray(
    benchmark: Any, specs: Callable[[str], list[StageSpec]], figure: Callable[..., None]
) -> None:
    """Includes Ray's own processes and their background work."""
    try:
        made = executors.make("ray", jobs=1)
    except ReidbenchError:
        pytest.skip("Ray is not installed")
    with running(made) as executor:
        cpu, passed = benchmark.pedantic(in_rotation, ({"ray": executor}, {"ray": specs("ray")}), rounds=1)
    figure("harness a stage, Ray", statistics.median(cpu["ray"]), "CPU s", most=0.15)
    figure("harness a stage, Ray, passed", statistics.median(passed["ray"]), "s", most=0.3)
