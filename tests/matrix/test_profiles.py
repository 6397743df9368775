"""Profiles in a plan: one for each network, size and machine, for all seeds; without them nothing changes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.components import Component, Params
from reidbench.errors import ConfigError
from reidbench.execution.preview import preview
from reidbench.matrix import devices, keys, plan
from reidbench.matrix.kinds import OF_STAGE
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan, Stage
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry
from reidbench.store.artifacts import Store
from reidbench.testing import write_market_folder

Matrix = Callable[..., Path]
SEEDS = "[0, 1, 2]"


class Trained(Params):
    epochs: int = 3
    parts: int = 1


COMPONENTS = [
    ("pretrainer", Component("learns", "m:f")),
    ("finetuner", Component("tunes", "m:f", Trained, rehearsal={"epochs": 1})),
    ("finetuner", Component("sees-cameras", "m:f", protocol=frozenset({"cameras"}))),
    ("adapter", Component("goes-on", "m:f")),
    ("backbone", Component("loaded", "m:f", Trained, rehearsal={"epochs": 0})),
]


@pytest.fixture
def toys() -> Registry:
    registry = plugins.load()
    registry.add("toys", COMPONENTS)
    return registry


@pytest.fixture
def expand(matrix: Matrix, toys: Registry) -> Callable[..., Plan]:
    def expanded(methods: str, **parts: str) -> Plan:
        return plan.expand(
            reader.read(matrix(**{"methods": methods, "seeds": SEEDS, "profile": "true", **parts}), toys)
        )

    return expanded


def profiles(found: Plan) -> list[Stage]:
    return [stage for stage in found.stages.values() if stage.kind == "profile"]


def by_method(found: Plan) -> dict[str, tuple[str, ...]]:
    """Keys of the profiles of each method, which its rows agree on."""
    keys = {row.method: row.profiles for row in found.rows}
    assert all(row.profiles == keys[row.method] for row in found.rows)
    return keys


def test_three_seeds_and_two_methods_of_one_network_have_one_profile(expand: Callable[..., Plan]) -> None:
    found = expand(
        "{short: {finetune: tunes}, long: {pretrain: learns, finetune: {use: tunes, epochs: 9}}}",
        tasks="{t: {source: tiny, target: tiny, pool: tiny}}",
    )
    (profile,) = profiles(found)
    first = next(key for key, stage in found.stages.items() if stage.kind == "finetune")
    assert profile.parents == (("finetune", first),)
    assert found.stages[first].seed == 0
    assert {row.profiles for row in found.rows} == {(profile.key,)}
    assert len(found.rows) == 6
    assert list(found.stages)[-1] == profile.key  # behind its parent


@pytest.mark.parametrize(
    "other",
    [
        "finetune: {use: tunes, parts: 2}",
        "finetune: sees-cameras",
        "finetune: tunes, adapt: goes-on",
        "finetune: tunes, flip_test: true",
        "finetune: {use: tunes, image_size: [64, 32]}",
        "finetune: {use: tunes, backbone: {use: resnet-tiny, width: 8}}",
        "finetune: {use: tunes, backbone: {use: loaded}}",
    ],
)
def test_another_network_or_size_has_another(other: str, expand: Callable[..., Plan]) -> None:
    found = expand(f"{{one: {{finetune: tunes}}, other: {{{other}}}}}")
    assert len(profiles(found)) == 2
    assert by_method(found)["one"] != by_method(found)["other"]
    sizes = {stage.key: stage.image_size for stage in profiles(found)}
    assert sizes[by_method(found)["other"][0]] == ((64, 32) if "image_size" in other else (32, 16))


def test_what_a_rehearsal_changes_in_a_network_is_not_its_cost(expand: Callable[..., Plan]) -> None:
    found = expand(
        "{one: {backbone: loaded, finetune: tunes}, other: {backbone: {use: loaded, epochs: 7}, finetune: tunes}, "
        "wide: {backbone: {use: loaded, parts: 7}, finetune: tunes}}"
    )
    assert by_method(found)["one"] == by_method(found)["other"] != by_method(found)["wide"]


def test_only_a_network_that_knows_cameras_depends_on_the_data(expand: Callable[..., Plan], tmp_path: Path) -> None:
    one, other = (write_market_folder(tmp_path / name, identities=count) for name, count in (("a", 4), ("b", 5)))
    data = f"{{a: {{use: market-folder, root: {one}}}, b: {{use: market-folder, root: {other}}}}}"
    tasks = "{a: {source: a, target: a}, b: {source: b, target: b}}"
    found = expand("{m: {finetune: tunes}, c: {finetune: sees-cameras}}", data=data, tasks=tasks)
    keys = {(row.method, row.task): row.profiles for row in found.rows}
    assert keys["m", "a"] == keys["m", "b"]
    assert keys["c", "a"] != keys["c", "b"]


def test_another_machine_changes_the_second_half_of_the_key(
    expand: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here,) = profiles(expand("{one: {finetune: tunes}}"))
    monkeypatch.setattr(keys, "machine", lambda threads: "another")
    (there,) = profiles(expand("{one: {finetune: tunes}}"))
    assert here.key != there.key
    assert here.key[:16] == there.key[:16]


def test_threads_are_part_of_the_machine(expand: Callable[..., Plan]) -> None:
    texts = [devices.machine(threads) for threads in (1, 2)]
    assert ", 1 thread, torch" in texts[0]
    assert ", 2 threads, torch" in texts[1]
    one, two = (profiles(expand("{one: {finetune: tunes}}", threads=n))[0] for n in ("1", "2"))
    assert (one.key[:16] == two.key[:16], one.key[16:] == two.key[16:]) == (True, False)


def test_a_gpu_is_the_machine_whatever_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "sees_gpus", lambda: True)
    monkeypatch.setattr(devices, "_gpu", lambda: "Some GPU")
    assert devices.machine(1) == devices.machine(2)
    assert devices.machine(1).startswith("Some GPU, torch ")
    monkeypatch.setattr(devices, "_gpu", lambda: "")  # a torch without CUDA
    assert devices.machine(1).startswith(devices.processor(computes_with_torch=False))


def test_planning_asks_another_process_for_the_gpu(tmp_path: Path) -> None:
    """This one sees no GPU, as requested, and torch is not imported where the plan is made."""
    code = (
        "import sys; from reidbench.matrix import devices; devices.GPUS = (sys.argv[1],); "
        "assert devices.sees_gpus(); devices.ASK = 'print(\"Asked GPU\")'; "
        "print(devices.machine(1)); assert 'torch' not in sys.modules"
    )
    (device := tmp_path / "device").touch()
    given = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code, str(device)], env={**given, **paths}, capture_output=True)
    assert done.stdout.decode().startswith("Asked GPU, torch "), done.stderr.decode()


def test_an_ensemble_has_those_of_its_parts(expand: Callable[..., Plan]) -> None:
    found = expand("{a: {finetune: tunes}, b: {finetune: {use: tunes, parts: 2}}, both: {ensemble: [a, b]}}")
    keys = by_method(found)
    assert keys["both"] == keys["a"] + keys["b"]
    assert len(profiles(found)) == 2


def test_a_cell_that_cannot_be_has_none(expand: Callable[..., Plan]) -> None:
    found = expand("{m: {finetune: tunes}}", tasks="{t: {source: tiny, target: tiny}, none: {target: tiny}}")
    assert {row.task: row.profiles for row in found.rows}["none"] == ()
    assert len(profiles(found)) == 1


def test_a_part_of_a_plan_profiles_a_network_of_its_own(expand: Callable[..., Plan]) -> None:
    """`--only other` trains nothing of the method that comes first."""
    found = expand("{one: {finetune: tunes}, other: {finetune: {use: tunes, epochs: 9}}}")
    part = found.only([row for row in found.rows if row.method == "other"])
    (profile,) = profiles(part)
    assert profile.key == profiles(found)[0].key
    assert {stage.params["epochs"] for stage in part.stages.values() if stage.kind == "finetune"} == {9}
    ((_, parent),) = profile.parents
    assert part.stages[parent].params["epochs"] == 9


def test_without_profiles_no_key_is_another(expand: Callable[..., Plan]) -> None:
    methods = "{a: {finetune: tunes}, b: {finetune: tunes, adapt: goes-on}, both: {ensemble: [a, b]}}"
    plain, more = expand(methods, profile=""), expand(methods)
    assert profiles(plain) == []
    assert list(more.stages)[: len(plain.stages)] == list(plain.stages)
    assert [row.key for row in more.rows] == [row.key for row in plain.rows]
    assert {row.profiles for row in plain.rows} == {()}
    assert expand(methods, profile="false").stages == plain.stages


def test_a_preview_shows_them(expand: Callable[..., Plan], toys: Registry, tmp_path: Path) -> None:
    found = preview(expand("{m: {finetune: tunes}}"), Store(tmp_path / "store"), toys)
    (line,) = [line for line in found["kinds"] if line["kind"] == "profile"]
    assert (line["stages"], line["to_run"]) == (1, 1)
    assert found["to_run"] == found["stages"] == 1 + 3 + 3 + 3 + 1  # data, three seeds of three stages, the profile


def test_a_word_that_is_no_answer_is_named(matrix: Matrix, toys: Registry) -> None:
    with pytest.raises(ConfigError) as caught:
        reader.read(matrix(profile="sometimes"), toys)
    (problem,) = caught.value.problems
    assert "profile" in problem
    assert "true or false" in problem


def test_nothing_runs_beside_what_is_timed() -> None:
    assert [name for name, kind in OF_STAGE.items() if kind.alone] == ["profile"]


def test_a_row_whose_evaluator_is_not_applicable_has_no_profile(expand: Callable[..., Plan]) -> None:
    found = expand("{one: {finetune: tunes}}", evaluate="[cosine, {use: cosine, preset: ltcc-cloth-changing}]")
    judged, unfit = (row for row in found.rows if row.seed == found.rows[0].seed)
    assert judged.profiles
    assert unfit.reason.endswith("does not have: see its reader")
    assert (unfit.key, unfit.profiles) == (None, ())
    assert len(profiles(found.only(found.rows))) == 1
