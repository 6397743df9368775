"""Workers that a server forks: they are as fresh processes are, die alone, and do without the server once they run."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from reidbench.execution import executors, runner
from reidbench.execution.executors import starter
from reidbench.execution.executors.server import Server
from reidbench.execution.executors.starter import Starter
from reidbench.matrix import devices, plan
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store
from reidbench.store.locks import process_start
from reidbench.testing import make_plugin

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each stage is a fresh process")
LONGEST = 60.0  # seconds that anything here may take
PLUGIN = """
import os
from reidbench import Component, Params, hookimpl

class ProbeParams(Params):
    does: str = ""
    file: str = ""

@hookimpl
def reidbench_finetuners():
    yield Component("probe", "probe_code:finetune", ProbeParams)


@hookimpl
def reidbench_datasets():
    yield Component("probed", "probe_code:dataset", ProbeParams)
    yield Component("sudden", "sudden_code:dataset", ProbeParams)
"""
CODE = '''
import json, os, resource, signal, sys, threading, time, random
from pathlib import Path

def seen():
    """What a process finds, and a component may depend on."""
    import numpy as np, torch
    from threadpoolctl import threadpool_info
    left = torch.arange(300 * 700, dtype=torch.float32).reshape(300, 700).sin()
    layer = torch.nn.Conv2d(16, 32, 3)
    out = layer(torch.rand(8, 16, 40, 20)).square().sum()
    out.backward()
    products = left.numpy() @ left.numpy().T
    numbers = [left @ left.T, left.std(0), torch.nn.functional.softmax(left, 1), layer.weight.grad, torch.rand(3)]
    environment = {name: value for name, value in os.environ.items() if name != "_"}
    return {
        "environment": environment,
        "arguments": sys.argv[:1],
        "path": sys.path,
        "folder": os.getcwd(),
        "umask": os.umask(0o022),
        "signals": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "leads a group": os.getpgid(0) == os.getpid(),
        "leads a session": os.getsid(0) == os.getpid(),
        "limits": [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT")],
        "streams": [(s.encoding, s.errors, s.isatty(), s.line_buffering) for s in (sys.stdin, sys.stdout, sys.stderr)],
        "threads": [thread.name for thread in threading.enumerate()],
        "torch": [torch.get_num_threads(), torch.get_deterministic_debug_mode(), str(torch.get_default_dtype())],
        "pools": sorted([p["num_threads"], p["user_api"]] for p in threadpool_info() if p["internal_api"] != "openmp"),
        "hash": hash("a word"),
        "denormal": float(np.float32(1e-40) * np.float32(1)),
        "numbers": [number.detach().numpy().tobytes().hex() for number in numbers] + [products.tobytes().hex()],
        "random": [random.random(), np.random.rand()],
    }

def finetune(ctx):
    from reidbench.training import BackboneEmbedder, Preprocess
    globals()[ctx.params.does or "nothing"](ctx)
    return BackboneEmbedder(ctx.backbone(), Preprocess(ctx.image_size))

def dataset(params, root, cache):
    from reidbench.registry import plugins
    globals()[params.does or "nothing"](params)
    reader = plugins.load().get("dataset", "market-folder")
    return reader.load()(reader.params(), root, cache)

def nothing(given):
    pass

def look(ctx):
    (ctx.out / "seen.json").write_text(json.dumps(seen(), sort_keys=True))

def spoil(ctx):
    import builtins, numpy as np, torch
    os.environ["OMP_NUM_THREADS"] = "7"
    os.environ["SPOILT"] = "yes"
    os.chdir("/"); os.umask(0o777); sys.path.insert(0, "/nowhere")
    torch.set_default_dtype(torch.float64); torch.set_num_threads(3)
    np.random.rand = lambda *shape: 0.5
    builtins.len = lambda thing: 1
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os._exit(9)

def wait_with_a_child(params):
    """The child is of the same session, and does not watch its parent."""
    child = os.fork()
    if child == 0:
        time.sleep(3600)
    Path(params.file).write_text(f"{os.getpid()} {child}")
    time.sleep(3600)

def wait(params):
    """Until the file is removed."""
    Path(params.file).write_text(str(os.getpid()))
    while Path(params.file).exists():
        time.sleep(0.01)
'''


class Listener:
    """A display that keeps what it receives."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.endings: dict[str, tuple[str, str]] = {}  # status and error by label

    def begin(self, stages: int) -> None: ...
    def more(self, stages: int) -> None: ...
    def started(self, stage: plan.Stage) -> None: ...

    def event(self, stage: plan.Stage, event: Any) -> None:
        if event["event"] == "note":
            self.notes.append(event["text"])

    def ended(self, stage: plan.Stage, status: str, seconds: float, error: str) -> None:
        self.endings[stage.label] = (status, error)

    def note(self, text: str) -> None: ...


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a plugin whose stages look around, installed for this process and its children."""
    site = tmp_path / "site"
    make_plugin(site, "probe_plugin", PLUGIN)
    (site / "probe_code.py").write_text(CODE)
    (site / "sudden_code.py").write_text("import os\nos._exit(5)\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "probe_plugin", raising=False)
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-probe-plugin")
    return site


def run(file: Path, store: Path, executor: Any) -> Listener:
    """Run a matrix file; what was said."""
    registry = plugins.load()
    the_plan = plan.expand(reader.read(file, registry))
    listener = Listener()
    runner.Runner(the_plan, Store(store), executor, listener, registry.disabled).run()
    return listener


def fresh() -> executors.Processes:
    """Each stage in a process that was started for it."""
    return executors.Processes(1, starter=Starter(forks=False))


def published(store: Path) -> dict[str, Any]:
    """The bytes of all artifacts, and what manifests say, but for times."""
    found: dict[str, Any] = {}
    for file in sorted((store / "objects").rglob("*")):
        name = file.relative_to(store).as_posix()
        if file.name == "manifest.json":
            said = json.loads(file.read_text())
            found[name] = {key: said[key] for key in said.keys() - {"seconds", "work_seconds", "started", "checksum"}}
        elif file.is_file():
            found[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def children(place: str) -> list[int]:
    """The living processes below this one with a word in their command lines."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if any(place in word for word in process.cmdline()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + LONGEST
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


def check_equal(file: Path, folder: Path, ways: dict[str, Any]) -> None:
    """The artifacts of a matrix are the same, however its stages run."""
    found = {}
    for name, executor in ways.items():
        run(file, folder / name, executor)
        found[name] = published(folder / name)
    assert len(found["fresh"]) > 10
    for name, artifacts in found.items():
        assert artifacts == found["fresh"], name


@pytest.mark.slow
def test_artifacts_are_those_of_fresh_processes_and_of_this_one(matrix: Callable[..., Path], tmp_path: Path) -> None:
    methods = "{bot: {finetune: {use: bot, epochs: 1, identities: 2, images: 2}}}"
    ways = {"forked": executors.Processes(2), "fresh": fresh(), "inline": executors.Inline()}
    check_equal(matrix(methods=methods, evaluate="[cosine, k-reciprocal]"), tmp_path, ways)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_a_stage_finds_what_it_finds_in_a_fresh_process(
    matrix: Callable[..., Path], tmp_path: Path, probe: Path, threads: int
) -> None:
    """Also after a stage that has spoilt all it could, and with a different number of threads than the server has."""
    methods = "{spoil: {finetune: {use: probe, does: spoil}}, look: {finetune: {use: probe, does: look}}}"
    the_plan = plan.expand(reader.read(matrix(threads=str(threads), methods=methods), plugins.load()))
    parts = {stage.params.get("does", stage.kind): stage for stage in the_plan.stages.values()}
    found = {}
    for name, starts in {"forked": Starter(), "fresh": Starter(forks=False)}.items():
        store = Store(tmp_path / name)
        store.prepare()
        endings = []
        with processes(starter=starts) as executor:
            for part in ("data", "spoil", "look"):
                executor.submit(StageSpec.of(the_plan, parts[part], store), lambda key, event: None)
                endings += ended(executor).values()
            starts.end()
        assert endings == [("done", ""), ("failed", "the worker ended with exit code 9 without a result"), ("done", "")]
        found[name] = json.loads((store.path(parts["look"].key) / "seen.json").read_text())
    assert found["forked"]["torch"][0] == threads
    for variable in ("PYTORCH_NVML_BASED_CUDA_CHECK", "TORCHINDUCTOR_CACHE_DIR"):  # torch and Fabric set them
        for one in found.values():
            one["environment"].pop(variable, None)
    for what in found["fresh"]:
        assert found["forked"][what] == found["fresh"][what], what


# ---------------------------------------------------------------------- single stages, which need no torch
class Stages:
    """Data stages of the plugin, each by its own name."""

    def __init__(self, market: Path, folder: Path) -> None:
        self.market, self.folder = market, folder
        self.store = Store(folder / "store")
        self.store.prepare()

    def spec(self, name: str, kind: str = "data", **params: str) -> StageSpec:
        """A stage of a small matrix whose data set does something as it is read: that of the data set, or another."""
        use = params.pop("use", "probed")
        given = {"use": use, "root": str(self.market), **params}
        file = self.folder / f"{name}.yaml"
        file.write_text(
            json.dumps(
                {
                    "title": name,
                    "image_size": [32, 16],
                    "data": {name: given},
                    "tasks": {name: {"source": name, "target": name}},
                    "backbone": "resnet-tiny",
                    "evaluate": "cosine",
                    "methods": {"none": {"finetune": "none"}},
                }
            )
        )
        the_plan = plan.expand(reader.read(file, plugins.load()))
        (stage,) = (stage for stage in the_plan.stages.values() if stage.kind == kind)
        return StageSpec.of(the_plan, stage, self.store)


@pytest.fixture
def stages(market: Path, tmp_path: Path, probe: Path) -> Stages:
    return Stages(market, tmp_path)


@contextmanager
def processes(**given: Any) -> Iterator[executors.Processes]:
    """An executor that leaves nothing behind."""
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    executor = executors.Processes(2, **given)
    try:
        yield executor
    finally:
        executor.stop()
    until(lambda: {process.pid for process in psutil.Process().children(recursive=True)} <= before)


def ended(executor: executors.Processes, number: int = 1) -> dict[str, tuple[str, str]]:
    """(status, error) by key of this number of stages."""
    found: dict[str, tuple[str, str]] = {}

    def more() -> bool:
        found.update({result.key: (result.status, result.error) for result in executor.wait()})
        return len(found) == number

    until(more)
    return found


def servers() -> list[int]:
    return children("executors.server")


@pytest.mark.slow
def test_a_stage_outlives_the_server_and_the_next_has_another(stages: Stages, tmp_path: Path) -> None:
    with processes() as executor:
        running, later = stages.spec("running", does="wait", file=str(tmp_path / "go")), stages.spec("later")
        executor.submit(running, lambda key, event: None)
        until((tmp_path / "go").exists)
        (before,) = servers()
        os.kill(before, signal.SIGKILL)
        until(lambda: not executor.starter._server.lives)  # type: ignore[union-attr]
        executor.submit(later, lambda key, event: None)
        assert ended(executor) == {later.stage.key: ("done", "")}
        (tmp_path / "go").unlink()
        assert ended(executor) == {running.stage.key: ("done", "")}
        (after,) = servers()
        assert after != before


@pytest.mark.slow
def test_a_server_that_is_killed_before_it_forks_costs_no_stage(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[Any] = []
    make = starter.Server

    def made(variables: dict[str, str]) -> starter.Server:
        server = make(variables)
        os.kill(server.pid, signal.SIGSTOP)  # it will not read what it is asked
        threading.Timer(0.5, os.kill, (server.pid, signal.SIGKILL)).start()
        return server

    monkeypatch.setattr(starter, "Server", made)
    with processes() as executor:
        for number in range(starter.DEATHS + 1):
            spec = stages.spec(f"number-{number}")
            executor.submit(spec, lambda key, event: notes.append(event))
            assert ended(executor) == {spec.stage.key: ("done", "")}
    (note,) = (event["text"] for event in notes if event["event"] == "note")
    assert note.endswith("the process that forks workers ended 3 times")


@pytest.mark.slow
def test_a_guard_that_is_killed_costs_its_stage_and_leaves_nothing(stages: Stages, tmp_path: Path) -> None:
    with processes() as executor:
        spec = stages.spec("guarded", does="wait_with_a_child", file=str(tmp_path / "pids"))
        executor.submit(spec, lambda key, event: None)
        until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text())
        (guard,) = children("executors.guard")
        os.kill(guard, signal.SIGKILL)
        assert ended(executor) == {spec.stage.key: ("failed", "the worker was killed by SIGKILL")}
        left = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        until(lambda: all(process_start(pid) is None for pid in left))
        assert len(servers()) == 1


def test_code_of_others_is_imported_by_its_own_stages_alone(stages: Stages) -> None:
    """A module that ends its process costs the stage that names it."""
    with processes() as executor:
        sudden, good = stages.spec("sudden", use="sudden"), stages.spec("good")
        executor.submit(sudden, lambda key, event: None)
        executor.submit(good, lambda key, event: None)
        assert ended(executor, 2) == {
            sudden.stage.key: ("failed", "the worker ended with exit code 5 without a result"),
            good.stage.key: ("done", ""),
        }
        assert len(servers()) == 1


@pytest.mark.slow
def test_a_server_with_a_thread_refuses_and_stages_run_all_the_same(stages: Stages, probe: Path) -> None:
    (probe / "sitecustomize.py").write_text(
        "import sys, threading, time\n"
        "if sys.argv[0] == '-m' and any('executors.server' in word for word in sys.orig_argv):\n"
        "    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n"
    )
    notes: list[Any] = []
    with processes() as executor:
        for name in ("first", "second"):
            spec = stages.spec(name)
            executor.submit(spec, lambda key, event: notes.append(event))
            assert ended(executor) == {spec.stage.key: ("done", "")}
        (note,) = (event["text"] for event in notes if event["event"] == "note")
        assert "an imported module has started threads (python, python)" in note


@pytest.mark.slow
def test_a_server_that_hangs_ends_with_its_stage_and_with_its_driver(stages: Stages, probe: Path) -> None:
    """Here in an import, which keeps the interpreter's lock."""
    (probe / "threadpoolctl.py").write_text("import re\nre.match('(a+)+$', 'a' * 64 + 'b')\n")
    with processes(time_limit=3) as executor:
        spec = stages.spec("late")
        executor.submit(spec, lambda key, event: None)
        assert ended(executor) == {spec.stage.key: ("failed", "ran longer than its limit of 3 s")}
        assert not servers()
    code = (
        "import os, signal, time\n"
        "from pathlib import Path\n"
        "from reidbench.execution.executors import Processes\n"
        "from reidbench.stages.spec import StageSpec\n"
        f"spec = StageSpec.model_validate_json({json.dumps(spec.dump())!r})\n"
        "executor = Processes(1)\n"
        "executor.submit(spec, print)\n"
        "print(executor.starter._server.pid, flush=True)\n"
        "time.sleep(3600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    with driver:
        assert driver.stdout is not None
        server = int(driver.stdout.readline())
        until(lambda: psutil.Process(server).cpu_times().user > 1)
        driver.kill()
    until(lambda: process_start(server) is None)


def test_an_environment_or_a_folder_that_changes_gets_a_server_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    several = Starter()
    try:
        first = several._living()
        assert several._living() is first
        monkeypatch.setenv("SOMETHING", "else")
        second = several._living()
        assert second is not first
        assert not first.lives
        monkeypatch.chdir(tmp_path)
        assert several._living() is not second
    finally:
        several.end()


def test_code_that_has_changed_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "made_up.py"
    file.write_text("old = 1\n")
    module = types.ModuleType("reidbench_synthetic.made_up")
    module.__file__ = str(file)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        server = Server(theirs)
        with server.heard, server.said:
            assert not server._outdated()
            file.write_text("new = 12\n")
            assert server._outdated()
            assert not server._outdated()
            file.unlink()
            assert server._outdated()


def test_where_a_gpu_may_be_used_stages_that_use_it_are_not_forked(
    stages: Stages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Living:
        def fork(self, *given: Any) -> str:
            return "forked"

    monkeypatch.setattr(starter, "Fresh", lambda *given: "fresh")
    monkeypatch.setattr(Starter, "_living", lambda self: Living())
    monkeypatch.setattr(devices, "GPUS", (str(tmp_path / "none"), str(tmp_path / "nvidia0")))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    data, training = stages.spec("data"), stages.spec("training", kind="finetune")

    def started() -> list[Any]:
        with (tmp_path / "log").open("wb") as log:
            return [Starter().start(spec, tmp_path / "spec", log, -1) for spec in (data, training)]

    assert started() == ["forked", "forked"]
    (tmp_path / "nvidia0").touch()
    assert started() == ["forked", "fresh"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert started() == ["forked", "forked"]
