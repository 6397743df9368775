"""Workers that a server forks: they are as fresh processes are, die alone, and do without the server once they run."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from reidbench.execution import executors, runner
from reidbench.execution.executors.starter import Starter
from reidbench.matrix import plan, reader
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
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
    yield Component("sudden", "sudden_code:finetune", ProbeParams)
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

def nothing(ctx):
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

def wait(ctx):
    """Until somebody says go on."""
    Path(ctx.params.file).write_text(str(os.getpid()))
    while Path(ctx.params.file).exists():
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


def test_artifacts_are_those_of_fresh_processes_and_of_this_one(matrix: Callable[..., Path], tmp_path: Path) -> None:
    methods = "{none: {finetune: none}, bot: {finetune: {use: bot, epochs: 1, identities: 2, images: 2}}}"
    ways = {"forked": executors.Processes(2), "fresh": fresh(), "inline": executors.Inline()}
    check_equal(matrix(methods=methods), tmp_path, ways)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_stage_finds_what_it_finds_in_a_fresh_process(
    matrix: Callable[..., Path], tmp_path: Path, probe: Path, threads: int
) -> None:
    """Also after a stage that has spoilt all it could, and with another number of threads than the server has."""
    file = matrix(
        threads=str(threads),
        methods="{before: {finetune: {use: probe, does: spoil}}, look: {finetune: {use: probe, does: look}}}",
    )
    found = {}
    for name, executor in {"forked": executors.Processes(1), "fresh": fresh()}.items():
        listener = run(file, tmp_path / name, executor)
        assert "exit code 9" in " ".join(error for _, error in listener.endings.values())
        assert not listener.notes
        (place,) = (tmp_path / name / "objects").glob("*/seen.json")
        found[name] = json.loads(place.read_text())
    assert found["forked"]["torch"][0] == threads
    for what in found["fresh"]:
        assert found["forked"][what] == found["fresh"][what], what
