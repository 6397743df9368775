"""A stage on several devices: the same table, one artifact, and what happens when one of its processes ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reidbench.components import Component
from reidbench.data import read_market_folder
from reidbench.errors import ConfigError
from reidbench.matrix import devices
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.report import Leaderboard
from reidbench.stages import distributed
from reidbench.store.artifact import DamagedArtifact
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix

MATRIX = """
image_size: [32, 16]
devices: {devices}
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{source: tiny, target: tiny, pool: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{{methods}}}
"""


def run(folder: Path, market: Path, methods: str, devices: str = "{pretrain: 2}", **more: Any) -> Leaderboard:
    folder.mkdir(exist_ok=True)
    return run_matrix(MATRIX.format(devices=devices, market=market, methods=methods), folder, **more)


def artifact(folder: Path, kind: str) -> tuple[Path, dict[str, Any]]:
    """The folder and manifest of the only artifact of a kind."""
    manifests = {path.parent: json.loads(path.read_text()) for path in folder.glob("store/objects/*/manifest.json")}
    ((place, manifest),) = [(p, m) for p, m in manifests.items() if m["stage"]["kind"] == kind]
    return place, manifest


UP_REID = """a: {pretrain: {use: up-reid, epochs: 1, batch: 4, splits: 2, queue: 12, dim: 8, head_norm: true,
 clean_batches: 2, held_out: 0.2, monitor_every: 1, keep_state: true, lr: 0.01}, finetune: none}"""


@pytest.mark.slow
def test_two_devices_end_with_the_table_of_one(tmp_path: Path, market: Path) -> None:
    """The whole way from the matrix file: one artifact, one log, one rank's events, and the numbers of one device."""
    boards = {n: run(tmp_path / str(n), market, UP_REID, f"{{pretrain: {n}}}") for n in (1, 2)}
    results = {n: list(board.results) for n, board in boards.items()}
    assert {result.status for found in results.values() for result in found} == {"ok"}
    for one, two in zip(results[1], results[2], strict=True):
        assert two.metrics == pytest.approx(one.metrics, abs=0.13)  # one of eight queries
    logs = {}
    for n in (1, 2):
        place, manifest = artifact(tmp_path / str(n), "pretrain")
        assert manifest["settings"]["devices"] == n
        assert sorted(manifest["files"]) == ["backbone.json", "backbone.safetensors", "log.jsonl", "moco.safetensors"]
        (logs[n],) = [json.loads(line) for line in (place / "log.jsonl").read_text().splitlines()]
        assert artifact(tmp_path / str(n), "finetune")[1]["settings"]["devices"] == 1
        assert not any((tmp_path / str(n) / "store" / "scratch").iterdir())
    assert logs[2].keys() == logs[1].keys()
    assert logs[2]["loss"] == pytest.approx(logs[1]["loss"], abs=1e-3)
    assert "retrieval" in logs[2]


@pytest.mark.slow
def test_a_process_that_dies_is_a_failed_row_with_a_reason(tmp_path: Path, market: Path, site: Path) -> None:
    """While the other waits for it in an exchange; the watching process and the next row continue."""
    board = run(tmp_path / "a b%20", market, "killed: {pretrain: {use: together, how: kill}, finetune: none}")
    (result,) = board.results
    assert result.status == "blocked"
    assert result.error.endswith("]: the process of device 2 of 2 was killed by SIGKILL")
    folder = tmp_path / "a b%20" / "store"
    store = Store(folder)
    assert {store.manifest(key).manifest["stage"]["kind"] for key in store.keys()} == {"data"}  # noqa: SIM118
    assert not list((folder / "claims").glob("*.json"))
    assert not list((folder / "tmp").iterdir())
    assert not list(folder.glob("scratch/*/meeting-*"))


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("error", "the second of them found nothing"),
        ("exit", "the process of device 2 of 2 ended with exit code 7"),
    ],
)
def test_the_reason_is_that_of_the_first(how: str, error: str, tmp_path: Path, market: Path, site: Path) -> None:
    """And not the broken connection of those that waited."""
    board = run(tmp_path / "a", market, f"ended: {{pretrain: {{use: together, how: {how}}}, finetune: none}}")
    (result,) = board.results
    assert result.status == "blocked"
    assert result.error.endswith(f"]: {error}")
    (failure,) = (tmp_path / "a" / "store" / "failures").glob("*.json")
    trace = json.loads(failure.read_text())["traceback"]
    assert ("DataError" in trace and "On device 2 of 2" in trace) == (how == "error")


@pytest.mark.long
def test_each_rank_knows_its_place_and_the_first_writes(tmp_path: Path, market: Path, site: Path) -> None:
    board = run(tmp_path / "a", market, "m: {pretrain: {use: together, steps: 2}, finetune: none}", jobs=1)
    assert {result.status for result in board.results} == {"ok"}
    place, _ = artifact(tmp_path / "a", "pretrain")
    facts = json.loads((place / "facts.json").read_text())
    assert facts == {"seed": 0, "rank": 0, "ranks": 2, "world": 2, "device": "cpu"}
    assert len((place / "log.jsonl").read_text().splitlines()) == 2


@pytest.mark.long
def test_fine_tuning_on_two_devices(tmp_path: Path, market: Path, site: Path) -> None:
    methods = "m: {finetune: {use: tuned, epochs: 2, identities: 4, images: 2}}"
    boards = [run(tmp_path / str(n), market, methods, str(n)) for n in (1, 2)]
    one, two = (next(iter(board.results)) for board in boards)
    assert (one.status, two.status) == ("ok", "ok")
    assert two.metrics["mAP"] == pytest.approx(one.metrics["mAP"], abs=0.05)
    assert artifact(tmp_path / "2", "finetune")[1]["settings"]["devices"] == 2


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_for(test: Callable[[], Any], seconds: float = 120) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if answer := test():
            return answer
        time.sleep(0.05)
    raise AssertionError("it never came")


@pytest.mark.long
@pytest.mark.parametrize("victim", ["driver", "watcher"])
def test_killed_and_resumed_is_uninterrupted(victim: str, tmp_path: Path, market: Path, site: Path) -> None:
    """Driver or watching process are killed after a checkpoint: all ranks end; the next run resumes, bit-identical."""
    methods = "m: {{pretrain: {{use: together, steps: 6, pause: {pause}}}, finetune: none}}"
    folder = tmp_path / "cut"
    folder.mkdir()
    matrix = folder / "matrix.yaml"
    matrix.write_text(MATRIX.format(devices="{pretrain: 2}", market=market, methods=methods.format(pause=0.5)))
    command = [sys.executable, "-m", "reidbench", "run", str(matrix), "--store", str(folder / "store")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    scratch = folder / "store" / "scratch"
    with (folder / "output").open("wb") as output:
        driver = subprocess.Popen([*command, "--executor", "process"], env=environment, stdout=output, stderr=output)
        try:
            wait_for(lambda: list(scratch.glob("*/checkpoint")))
            pids = [int(file.read_text()) for file in sorted(scratch.rglob("pid-?"))]
            assert len(pids) == 2
            watcher = int(Path(f"/proc/{pids[0]}/stat").read_text().rpartition(")")[2].split()[1])
            os.kill(driver.pid if victim == "driver" else watcher, signal.SIGKILL)
            driver.wait(timeout=120)
        finally:
            driver.kill()
            driver.wait()
    wait_for(lambda: not any(alive(pid) for pid in [*pids, watcher]), 20)
    assert list(scratch.glob("*/checkpoint"))
    assert not list((folder / "store" / "objects").glob("*/facts.json"))
    again = subprocess.run([*command, "--executor", "inline"], env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    place, _ = artifact(folder, "pretrain")
    run(tmp_path / "whole", market, methods.format(pause=0.5))
    whole, _ = artifact(tmp_path / "whole", "pretrain")
    assert place.name == whole.name  # the same key
    for name in ("backbone.safetensors", "log.jsonl"):
        assert (place / name).read_bytes() == (whole / name).read_bytes()
    assert "0 of 6" not in again.stderr  # it resumed from its checkpoint


# ---------------------------------------------------------------------- who may take how many
@pytest.mark.parametrize(
    ("given", "finetune", "sentence"),
    [
        (
            "2",
            "bdb",
            "method m: bdb trains on one device, not on 2: use one for `finetune`, as in `devices: {pretrain: 2}`",
        ),
        ("{pretrain: 3, finetune: 2}", "mgn", "method m: mgn trains on one device, not on 2"),
        ("{pretrain: 0}", "none", "devices.pretrain: must be a whole number >= 1"),
        ("{adapt: 2}", "none", "devices.adapt: unknown key"),
        ("true", "none", "devices: must be a whole number >= 1"),
        ("10000000", "none", "devices: must be at most 64 devices (of one machine), not 10000000"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(
    given: str, finetune: str, sentence: str, matrix: Callable[..., Path], registry: plugins.Registry
) -> None:
    tasks = "{tiny: {source: tiny, target: tiny, pool: tiny}}"
    methods = f"{{m: {{pretrain: up-reid, finetune: {finetune}}}}}"
    with pytest.raises(ConfigError) as caught:
        reader.read(matrix(devices=given, tasks=tasks, methods=methods), registry)
    (problem,) = caught.value.problems
    assert sentence in problem
    assert problem.split(":")[1].isdigit()  # the line


def test_devices_of_each_kind(matrix: Callable[..., Path], registry: plugins.Registry) -> None:
    methods = "{m: {pretrain: {use: up-reid, batch: 12, splits: 4}, finetune: none}}"
    tasks = "{tiny: {source: tiny, target: tiny, pool: tiny}}"
    for given, expected in (
        ("1", 1),
        ("{pretrain: 1}", 1),
        ("{pretrain: 4}", {"pretrain": 4, "finetune": 1}),
        ("4", 4),
    ):
        assert reader.read(matrix(devices=given, tasks=tasks, methods=methods), registry).devices == expected
    trains = Component("x", "m:f", traits=frozenset({"data-parallel"}))
    assert devices.devices_for("pretrain", trains, None, 4) == 4
    assert devices.devices_for("finetune", trains, None, {"pretrain": 4}) == 1
    assert devices.devices_for("adapt", trains, None, 4) == 1
    assert devices.devices_for("select", Component("x", "m:f"), None, 4) == 1
    assert devices.devices_for("finetune", registry.get("finetuner", "none"), None, 4) == 1  # trains on nothing
    weights = registry.get("pretrainer", "weights")
    assert devices.devices_for("pretrain", weights, weights.params.model_validate({"file": "a.pth"}), 4) == 1
    with pytest.raises(devices.OneDevice, match="lone trains on one device, not on 4"):
        devices.devices_for("pretrain", Component("lone", "m:f"), None, 4)
    labelled = Component("aux", "m:f", traits=frozenset({"pool-free"}), protocol=frozenset({"auxiliary"}))
    with pytest.raises(devices.OneDevice, match="aux trains on one device"):
        devices.devices_for("pretrain", labelled, None, 2)


def test_a_nested_stage_counts_too(site: Path, matrix: Callable[..., Path]) -> None:
    """A selector's own proxy is pre-trained by a stage of the kind that gets several devices."""
    methods = "{m: {select: {use: proxied, proxy: {use: alone}, tuned: none}, pretrain: together, finetune: none}}"
    tasks = "{tiny: {source: tiny, target: tiny, pool: tiny}}"
    with pytest.raises(ConfigError, match="method m: alone trains on one device, not on 2"):
        reader.read(matrix(devices="{pretrain: 2}", tasks=tasks, methods=methods), plugins.load())


# ---------------------------------------------------------------------- whose reason
class Gone:
    """A process that has ended."""


def rank(number: int, *, code: int = 0, left: float | None = None, failure: Any = None, answer: Any = None) -> Any:
    return distributed._Rank(number, Gone(), answer, failure, left, code)  # type: ignore[arg-type]


def said(error: str, at: float, **more: Any) -> dict[str, Any]:
    return {"event": "failed", "error": error, "traceback": "trace", "at": at, **more}


def test_the_first_failure_is_the_reason() -> None:
    broken = rank(0, left=5.3, code=1, failure=said("connection closed by peer", 5.2))
    late = rank(1, left=5.2, code=1, failure=said("no images", 5.1))
    assert str(distributed._reason([broken, late])) == "no images"
    # A process that is killed says nothing, and those that miss it may speak before it is noticed.
    silent = rank(1, left=5.5, code=-signal.SIGKILL)
    assert "device 2 of 2 was killed by SIGKILL" in str(distributed._reason([broken, silent]))
    # One that ends by itself long after another has failed is not the reason.
    aborted = rank(1, left=7.1, code=-signal.SIGABRT)
    assert str(distributed._reason([broken, aborted])) == "connection closed by peer"
    # One that has answered and ended well is none either.
    fine = rank(1, left=1.0, answer={"metrics": {}})
    assert str(distributed._reason([broken, fine])) == "connection closed by peer"


def test_damage_that_a_rank_finds_is_reported_as_damage() -> None:
    found = rank(
        0, left=1.0, code=1, failure={"event": "damaged", "key": "abc", "error": "a file is damaged", "at": 0.9}
    )
    error = distributed._reason([found, rank(1)])
    assert isinstance(error, DamagedArtifact)
    assert (error.key, str(error)) == ("abc", "a file is damaged")


def test_sockets_stay_on_this_machine() -> None:
    assert {"GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"} == set(distributed._loopback())
    assert set(distributed._loopback().values()) <= {"lo", "lo0"}


def test_the_watching_process_imports_no_torch() -> None:
    code = (
        "import sys, reidbench.stages.distributed, reidbench.matrix.devices, reidbench.stages.run; "
        "sys.exit('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


def test_the_tiny_set_is_what_these_tests_think(market: Path) -> None:
    """16 images to learn from: a batch of 4 divides among two devices, and 8 queries make steps of an eighth."""
    assert len(read_market_folder(market, name="tiny").train) == 16
