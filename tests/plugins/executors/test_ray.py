"""Stages on Ray: the same table as in this process after any failure; no work on a node that differs."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reidbench import report
from reidbench.errors import ReidbenchError
from reidbench.execution import executors, progress, runner
from reidbench.execution.executor import Executor
from reidbench.execution.executors import nodes
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Stage
from reidbench.registry import plugins
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store
from reidbench.testing import make_plugin, run_matrix
from reidbench_executors import cluster
from reidbench_executors import ray as ray_executor

QUICKSTART = Path(__file__).parents[3] / "benchmarks" / "quickstart.yaml"
MATRIX = """
title: Toys
image_size: [32, 16]
seeds: [0, 1]
data: {{tiny: {{use: market-folder, root: {root}}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {methods}
"""
LIMIT = 120.0  # seconds that anything awaited here may take
SLOW_LIMIT = 3600.0  # and what is slow


class Nodes:
    """A Ray cluster on loopback, whose nodes are processes of this machine."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.cluster = Cluster()

    def add(self, cpus: int, first: Path) -> Any:
        """A node; `first` is where it looks for modules before it looks where the driver does."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(cluster.LOOPBACK, "0")
            patch.setenv("PYTHONPATH", str(first))
            patch.setenv("OMP_NUM_THREADS", "1")
            for left in (2, 1, 0):
                try:
                    return self.cluster.add_node(
                        num_cpus=cpus, object_store_memory=cluster.OBJECT_STORE, include_dashboard=False
                    )
                except Exception:
                    if not left:  # Ray gives a node 30 s to start, which a loaded machine may need
                        raise

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def kill(self, node: Any) -> None:
        self.cluster.remove_node(node, allow_graceful=False)


@contextlib.contextmanager
def started(cpus: int, first: Path) -> Iterator[Nodes]:
    """A cluster whose head has this number of CPUs."""
    try:
        cluster.library(loopback=True)
    except ReidbenchError:
        pytest.skip("Ray is not installed")
    there = Nodes()
    try:
        there.add(cpus, first)
        yield there
    finally:
        there.cluster.shutdown()


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """First folder on the import path of the nodes of the session's cluster; empty except for one test."""
    return tmp_path_factory.mktemp("nodes")


@pytest.fixture(scope="session")
def one(first: Path) -> Iterator[Nodes]:
    """A cluster of one node with two CPUs."""
    with started(2, first) as there:
        yield there


def run(text: str, folder: Path, executor: Executor) -> report.Leaderboard:
    """Run a matrix with an executor that `run_matrix` does not know."""
    from rich.console import Console

    file = folder / "matrix.yaml"
    file.write_text(text)
    registry = plugins.load()
    the_plan = plan.expand(reader.read(file, registry))
    store = Store(folder / "store")
    runner.Runner(the_plan, store, executor, progress.Lines(Console(stderr=True)), registry.disabled).run()
    return report.collect(the_plan, store)


def drive(matrix: Path, store: Path, *options: str, **variables: str) -> subprocess.Popen[str]:
    """A separate driver, as on a command line."""
    command = [sys.executable, "-m", "reidbench", "run", str(matrix), "--store", str(store), "--executor", "ray"]
    return subprocess.Popen(
        [*command, *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(what: Callable[[], Any], driver: subprocess.Popen[str]) -> Any:
    """Poll until there is something. Fails when the driver ends before."""
    until = time.monotonic() + SLOW_LIMIT
    while not (found := what()):
        assert driver.poll() is None, f"the run ended too early: {driver.communicate()}"
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def parent(pid: int) -> int:
    """Of a process; 0 when it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        state, found, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return 0 if state in "ZX" else int(found)
    return 0


def ancestors(pid: int) -> Iterator[int]:
    while pid := parent(pid):
        yield pid


def is_rays(pid: int) -> bool:
    """Whether a process is a Ray worker."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return b"ray::" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def descendants(pid: int) -> set[int]:
    """Of a process that lives."""
    there = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return {child for child in there if pid in ancestors(child)}


def listeners(pids: set[int]) -> list[str]:
    """The addresses that some processes accept connections at."""
    sockets: set[str] = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            sockets |= {str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir()}
    heard = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, place, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                words = bytes.fromhex(place.partition(":")[0])
                turned = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))  # the kernel's order
                heard.append(str(ipaddress.ip_address(turned)))
    return heard


def working(store: Path) -> dict[str, int]:
    """The stages that are being run, with the process of each."""
    found = {}
    for file in (store / "claims").glob("[!.]*.json"):
        with contextlib.suppress(FileNotFoundError):
            found[file.stem] = int(json.loads(file.read_text())["pid"])
    return {key: pid for key, pid in found.items() if parent(pid)}


def training(store: Path) -> int:
    """The process of a stage that has a checkpoint folder, so its method has been called; 0 without."""
    found = [pid for key, pid in working(store).items() if (store / "scratch" / key).exists()]
    return found[0] if found else 0


def files(store: Store) -> dict[str, dict[str, str]]:
    """Checksums of all artifacts."""
    return {
        key: {name: entry["sha256"] for name, entry in store.read(key).manifest["files"].items()}
        for key in store.keys()  # noqa: SIM118 - a method, not a mapping
    }


# ---------------------------------------------------------------------- without Ray
@pytest.mark.slow
def test_nothing_imports_ray_before_it_is_asked_for(matrix: Callable[..., Path], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom reidbench import testing\n"
        "from reidbench.cli import main as cli\nfrom reidbench.execution import executors\n"
        "executors.make('inline'), executors.make('process', 2)\n"
        f"sys.argv = ['reidbench', 'table', {str(matrix())!r}, '--store', {str(tmp_path)!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not {'ray', 'torch'} & set(sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_without_ray_a_sentence_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ReidbenchError, match=r"not installed: ray \(pip install 'reidbench\[ray\]'\)"):
        executors.make("ray")


def test_options_that_do_not_go_together() -> None:
    with pytest.raises(ReidbenchError, match="needs --executor ray"):
        executors.make("process", 1, "127.0.0.1:6379")
    with pytest.raises(ReidbenchError, match="limits of a stage need a separate process"):
        executors.make("inline", time_limit=1.0)


ROOM = cluster.Room({"n": "n"}, slots=4, cpus=8, gpus=0)
GPU_ROOM = cluster.Room({"n": "n"}, slots=4, cpus=8, gpus=4)


@pytest.mark.parametrize(
    ("kind", "threads", "devices", "on_cpus", "on_gpus"),
    [
        ("data", 2, 4, (2, 0), (2, 0)),
        ("evaluate", 2, 4, (2, 0), (2, 0)),
        ("embed", 2, 4, (2, 0), (2, 1)),
        ("adapt", 2, 4, (2, 0), (2, 1)),
        ("finetune", 2, 1, (2, 0), (2, 1)),
        ("pretrain", 2, 4, (8, 0), (8, 4)),
        ("pretrain", 1, {"pretrain": 2}, (2, 0), (2, 2)),
        ("finetune", 1, {"pretrain": 2}, (1, 0), (1, 1)),
        ("finetune", 16, 8, (8, 0), (8, 4)),  # 128 threads and 8 GPUs of nodes that have 8 and 4
    ],
)
def test_what_a_stage_asks_for(
    kind: str, threads: int, devices: Any, on_cpus: tuple[int, int], on_gpus: tuple[int, int]
) -> None:
    spec = StageSpec.model_construct(stage=Stage("k", kind, "x", {}), threads=threads, devices=devices)
    assert ray_executor.needs(spec, ROOM) == on_cpus
    assert ray_executor.needs(spec, GPU_ROOM) == on_gpus


# ---------------------------------------------------------------------- with Ray
@pytest.mark.long
def test_the_same_bytes_as_in_this_process(tmp_path: Path, market: Path, site: Path, one: Nodes) -> None:
    text = MATRIX.format(root=market, methods="{none: {finetune: none}, toy: {finetune: toy}}")
    folders = [tmp_path / name for name in ("inline", "ray")]
    for folder in folders:
        folder.mkdir()
    alone = run_matrix(text, folders[0])
    board = run(text, folders[1], executors.make("ray", address=one.address))
    assert {result.status for result in board.results} == {"ok"}
    assert report.write(board, "csv") == report.write(alone, "csv")
    first, second = (Store(folder / "store") for folder in folders)
    assert files(first) == files(second)
    logs = [second.log_file(key).read_text() for key in second.keys()]  # noqa: SIM118
    assert sum("the toy is done" in log for log in logs) == 2
    assert not list((tmp_path / "ray" / "store").glob(".seen-by*"))


@pytest.mark.long
def test_what_a_plugin_does_costs_its_own_cells_and_is_not_tried_elsewhere(
    tmp_path: Path, market: Path, site: Path, one: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = {
        "raise": "RuntimeError: it went wrong",
        "base": "Base: my own words",
        "mute": "Mute: (its text is not available: __str__ raises Base)",
        "leave": "SystemExit: 0",
        "interrupt": "KeyboardInterrupt",
        "progress": "ctx.progress takes two numbers, done and total, not 'half'",
    }
    modes = raised | dict.fromkeys(["kill", "detach"], "the worker was killed by SIGKILL")
    text = misbehaving(market, *modes)
    monkeypatch.setenv("REIDBENCH_TOY_LOG", str(tmp_path / "log"))
    board = run(text, tmp_path, executors.make("ray", address=one.address))
    for name, words in modes.items():
        (result,) = board.cell(name, "tiny", "cosine")
        assert (result.status, result.error) == ("blocked", f"finetune toy [tiny, seed 0, fail={name}]: {words}")
    (tmp_path / "inline").mkdir()
    alone = run_matrix(misbehaving(market, *raised), tmp_path / "inline")
    assert [one.error for one in alone.results] == [one.error for one in board.results][: len(raised)]
    detached = int((tmp_path / "log").read_text())
    until = time.monotonic() + LIMIT
    while parent(detached):
        assert time.monotonic() < until, "a detached child outlives its stage"
        time.sleep(0.02)


def misbehaving(market: Path, *modes: str) -> str:
    """A matrix with a method for each way to fail."""
    methods = ", ".join(f"{name}: {{finetune: {{use: toy, fail: {name}}}}}" for name in modes)
    return MATRIX.format(root=market, methods=f"{{{methods}}}").replace("[0, 1]", "[0]")


class Unlucky(ray_executor.Ray):
    """Kills the Ray worker that watches a stage's own process when that stage progresses, this number of times."""

    def __init__(self, store: Path, times: int, address: str) -> None:
        super().__init__(address=address)
        self.store = store
        self.times = times
        self.killed: set[int] = set()  # processes of stages
        self.said: list[dict[str, Any]] = []

    def submit(self, spec: Any, on_event: Any) -> None:
        def listen(key: str, event: dict[str, Any]) -> None:
            self.said.append(event)
            on_event(key, event)
            pid = working(self.store).get(key, 0)
            watcher = next(filter(is_rays, ancestors(pid)), 0)
            if event["event"] != "progress" or pid in self.killed or len(self.killed) == self.times or not watcher:
                return
            self.killed.add(pid)
            os.kill(watcher, signal.SIGKILL)

        super().submit(spec, listen)


@pytest.mark.slow
def test_a_lost_stage_is_made_again(
    tmp_path: Path, market: Path, site: Path, one: Nodes, capfd: pytest.CaptureFixture[str]
) -> None:
    text = MATRIX.format(root=market, methods="{toy: {finetune: {use: toy, seconds: 0.4}}}").replace("[0, 1]", "[0]")
    (tmp_path / "inline").mkdir()
    table = report.write(run_matrix(text, tmp_path / "inline"), "csv")
    executor = Unlucky(tmp_path / "store", 1, one.address)
    assert report.write(run(text, tmp_path, executor), "csv") == table
    (note,) = [event["text"] for event in executor.said if event["event"] == "note"]
    assert note.startswith("lost with node ")  # the display puts the stage before it
    assert note.endswith("; it is submitted again")
    # What epoch 0 logged may have been on its way when its messenger was killed.
    assert {event["metrics"]["epoch"] for event in executor.said if event["event"] == "log"} >= {1, 2}
    assert "raylet" not in capfd.readouterr().out  # where the table goes
    assert files(Store(tmp_path / "store")) == files(Store(tmp_path / "inline" / "store"))


@pytest.mark.long
def test_a_stage_that_is_lost_again_and_again_has_failed(
    tmp_path: Path, market: Path, site: Path, one: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "RETRIES", 1)
    text = MATRIX.format(root=market, methods="{toy: {finetune: {use: toy, seconds: 0.4}}}").replace("[0, 1]", "[0]")
    board = run(text, tmp_path, Unlucky(tmp_path / "store", 2, one.address))
    (result,) = board.results
    assert result.status == "blocked"
    assert "finetune toy (seconds=0.4) [tiny, seed 0]: lost with node " in result.error
    assert ", 2 times in all" in result.error


@pytest.mark.slow
def test_nodes_that_differ_are_named_and_nothing_is_run(
    tmp_path: Path, market: Path, site: Path, one: Nodes, first: Path
) -> None:
    matrix = tmp_path / "matrix.yaml"
    matrix.write_text(MATRIX.format(root=market, methods="{toy: {finetune: toy}}"))
    module = make_plugin(first, "other_plugin", "")
    try:
        both = {"REIDBENCH_PLUGINS": "reidbench-toy-plugin,reidbench-other-plugin"}
        driver = drive(matrix, tmp_path / "store", "--address", one.address, **both)
        out, said = driver.communicate(timeout=LIMIT)
    finally:
        module.unlink()
        shutil.rmtree(next(first.glob("*.dist-info")))
    assert driver.returncode == 2, said
    assert out == ""
    sentence = said.splitlines()[-1]
    assert sentence.startswith(f"reidbench: nothing was run: node {socket.gethostname()} (127.0.0.1, ")
    assert sentence.endswith("is not usable: it also has plugin reidbench-other-plugin:other_plugin")
    assert Store(tmp_path / "store").keys() == set()


@pytest.mark.slow
def test_a_node_that_does_not_see_the_store_is_named(
    tmp_path: Path, market: Path, one: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect = nodes.expect

    def elsewhere(without: frozenset[str], folders: dict[str, Path]) -> nodes.Expected:
        found = expect(without, folders)
        nodes.forget(found)  # as if the nodes had another folder at that path
        return found

    monkeypatch.setattr(nodes, "expect", elsewhere)
    with pytest.raises(ReidbenchError) as caught:
        run(
            MATRIX.format(root=market, methods="{none: {finetune: none}}"),
            tmp_path,
            executors.make("ray", 1, one.address),
        )
    assert f"it does not see the store {tmp_path / 'store'}, which must be on a path" in str(caught.value)
    assert Store(tmp_path / "store").keys() == set()


def test_addresses_that_are_wrong() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"  # nobody listens
        with pytest.raises(ReidbenchError, match=f"no Ray cluster answers at {address}: "):
            cluster.join(None, address)
    for wrong in ("somewhere", "ray://127.0.0.1:10001", ":6379", "127.0.0.1:port"):
        with pytest.raises(ReidbenchError, match="must be HOST:PORT"):
            cluster.join(None, wrong)


@pytest.mark.parametrize("word", [b"HTTP/1.0 400 Bad Request\r\n\r\n", b"", None])
def test_an_address_where_something_else_listens(word: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web page's port, one that hangs up, one that says nothing: Ray itself would wait for minutes."""
    monkeypatch.setattr(cluster, "REACH", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def answer() -> None:
            with server.accept()[0] as connection:
                connection.recv(1000)
                connection.sendall(word or b"")
                while word is None and connection.recv(1000):
                    pass

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ReidbenchError, match=f"no Ray cluster answers at {address}: "):
            cluster.join(None, address)
        thread.join()


@pytest.mark.long
def test_a_local_ray_hears_this_machine_only(tmp_path: Path, market: Path, site: Path) -> None:
    """`--executor ray` alone: started for the run, reachable from here alone, gone afterwards."""
    with contextlib.suppress(ReidbenchError):
        cluster.library(loopback=True)
    pytest.importorskip("ray")
    matrix = tmp_path / "matrix.yaml"
    toy = "{finetune: {use: toy, epochs: 1, seconds: 20}}"  # the second of two waits for its server to start
    matrix.write_text(MATRIX.format(root=market, methods=f"{{toy: {toy}}}"))
    driver = drive(matrix, tmp_path / "store", "--jobs", "2")
    wait_for(lambda: len(working(tmp_path / "store")) == 2, driver)
    begun = descendants(driver.pid)
    heard = listeners({driver.pid, *begun})
    out, said = driver.communicate(timeout=LIMIT)
    assert driver.returncode == 0, said
    assert len(heard) >= 3  # its control service, its node and its workers
    assert set(heard) <= {"127.0.0.1", "::ffff:7f00:1", "::ffff:127.0.0.1", "::1"}
    assert "| toy" in out
    assert not any(parent(pid) for pid in begun)


@pytest.mark.long
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_waits_for_a_checkpoint_and_ctrl_c_twice_does_not(
    tmp_path: Path, market: Path, site: Path, one: Nodes
) -> None:
    for times, toy in ((1, "epochs: 40, seconds: 0.4"), (2, "epochs: 1, seconds: 60")):
        matrix, store = tmp_path / f"{times}.yaml", tmp_path / f"store-{times}"
        matrix.write_text(MATRIX.format(root=market, methods=f"{{toy: {{finetune: {{use: toy, {toy}}}}}}}"))
        driver = drive(matrix, store, "--address", one.address, "--jobs", "1")
        pid = wait_for(lambda store=store: training(store), driver)
        driver.send_signal(signal.SIGINT)
        if times == 2:
            time.sleep(0.5)
            driver.send_signal(signal.SIGINT)
        _, said = driver.communicate(timeout=LIMIT)
        assert driver.returncode == 130, said
        assert "Unhandled error" not in said or times == 2
        assert parent(pid) == 0
        assert bool(list((store / "scratch").glob("*/checkpoint"))) == (times == 1)
        assert not list((store / "specs").iterdir())


# ---------------------------------------------------------------------- nodes that go and come
def check_a_lost_node(text: str, folder: Path, artifacts: int) -> None:
    """Two nodes of one CPU; the second is killed during a training, once this number of artifacts exists."""
    (folder / "inline").mkdir()
    table = report.write(run_matrix(text, folder / "inline"), "csv")
    matrix, store = folder / "matrix.yaml", Store(folder / "store")
    matrix.write_text(text)
    with started(1, folder / "nothing") as there:
        second = there.add(1, folder / "nothing")
        raylet = second.all_processes["raylet"][0].process.pid

        def victim() -> str:
            """A stage of the second node that has written a checkpoint."""
            saved = {path.parent.name for path in (store.root / "scratch").glob("*/checkpoint")}
            there = {key for key, pid in working(store.root).items() if raylet in ancestors(pid)}
            return min(saved & there, default="") if len(store.keys()) >= artifacts else ""

        driver = drive(matrix, store.root, "--address", there.address)
        lost = wait_for(victim, driver)
        there.kill(second)
        assert not store.has(lost)
        _, said = driver.communicate(timeout=SLOW_LIMIT)
    assert driver.returncode == 0, said
    registry = plugins.load()
    the_plan = plan.expand(reader.read(matrix, registry))
    assert report.write(report.collect(the_plan, store), "csv") == table
    label = the_plan.stages[lost].label
    assert f"note: {label}: lost with node " in said
    done = [line.partition("] ")[2].rpartition(": done in ")[0] for line in said.splitlines() if ": done in " in line]
    assert sorted(done) == sorted(stage.label for stage in the_plan.stages.values())  # each once


@pytest.mark.long
def test_a_node_lost_in_the_middle_of_a_small_matrix(tmp_path: Path, market: Path, site: Path) -> None:
    methods = "{none: {finetune: none}, toy: {finetune: {use: toy, epochs: 8, seconds: 0.5}}}"
    check_a_lost_node(MATRIX.format(root=market, methods=methods), tmp_path, artifacts=3)


@pytest.mark.long
def test_a_node_lost_in_the_middle_of_the_quickstart(tmp_path: Path) -> None:
    check_a_lost_node(QUICKSTART.read_text(), tmp_path, artifacts=20)


@pytest.mark.long
def test_a_node_that_joins_later_and_differs_ends_the_run(
    tmp_path: Path, market: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = "{toy: {finetune: {use: toy, epochs: 4, seconds: 0.5}}}"
    matrix = tmp_path / "matrix.yaml"
    matrix.write_text(MATRIX.format(root=market, methods=methods).replace("[0, 1]", "[0, 1, 2, 3, 4, 5, 6, 7]"))
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-toy-plugin,reidbench-other-plugin")
    make_plugin(tmp_path / "other", "other_plugin", "")
    with started(1, tmp_path / "nothing") as there:
        driver = drive(matrix, tmp_path / "store", "--address", there.address)
        wait_for(lambda: training(tmp_path / "store"), driver)
        there.add(1, tmp_path / "other")
        _, said = driver.communicate(timeout=SLOW_LIMIT)
    assert driver.returncode == 2, said
    sentence = said.splitlines()[-1]
    assert sentence.startswith(f"reidbench: the run stops: node {socket.gethostname()} (127.0.0.1, ")
    assert sentence.endswith("is not usable: it also has plugin reidbench-other-plugin:other_plugin")
    assert not working(tmp_path / "store")
