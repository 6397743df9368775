"""The contract suite finds what is broken, one line for each component, and lets the sound ones pass."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from reidbench import check
from reidbench.check import child, declared
from reidbench.check.examples import small
from reidbench.check.report import Broken
from reidbench.cli import main
from reidbench.errors import PluginError
from reidbench.registry import plugins
from reidbench.testing import check_plugin, installed

HEAD = """
from pydantic import Field
from reidbench import Component, Params, hookimpl

TRAINED = {names}


class Epochs(Params):
    epochs: int = Field(50, ge=1, description="passes")


class Mute(Params):
    strength: int = 1
    words: str = Field("", description="words")


class Required(Params):
    file: str = Field(description="a file")


@hookimpl
def reidbench_finetuners():
    for name in TRAINED:
        yield Component(name, "broken.code:" + name.replace("-", "_"), Epochs, summary="x", traits={{"label-free"}})
    yield Component("mute", "broken.code:sound", Mute, traits={{"label-free"}})
    yield Component("needy", "broken.code:sound", Required, summary="x", traits={{"label-free"}})
    yield Component("wrong-example", "broken.code:sound", Epochs, summary="x", traits={{"label-free"}})
    yield Component("kept", "broken.code:kept", summary="x", traits={{"label-free", "seedless"}})
    yield Component("new-head", "broken.code:new_head", summary="x", traits={{"label-free", "seedless"}})


@hookimpl
def reidbench_backbones():
    yield Component("drawn-network", "broken.code:network", summary="x", traits={{"seedless"}})
    yield Component("same-network", "broken.code:same_network", summary="x", traits={{"seedless"}})


@hookimpl
def reidbench_selectors():
    yield Component("twice", "broken.code:twice", summary="x")
    yield Component("by-seed", "broken.code:by_seed", summary="x", traits={{"seedless"}})
    yield Component("no-seed", "broken.code:no_seed", summary="x", traits={{"seedless"}})


@hookimpl
def reidbench_evaluators():
    yield Component("rolling", "broken.code:rolling", summary="x")
    yield Component("too-few", "broken.code:too_few", summary="x")


@hookimpl
def reidbench_datasets():
    yield Component("strange-pids", "broken.code:strange_pids", summary="x")
    yield Component("rootless", "broken.code:strange_pids", summary="x", requires={{"root"}})
    yield Component("no-truth", "broken.code:people", summary="x", capabilities={{"truth"}})
    yield Component("quiet", "broken.code:knowing", summary="x", lacks={{"test", "cameras"}})
    yield Component("wrong-lack", "broken.code:people", summary="x", lacks={{"train"}})
    yield Component("people", "broken.code:people", summary="x")
    yield Component("bare", "broken.code:people", summary="x", lacks={{"clothes", "tracklets in test"}})


CHECK = {{"wrong-example": {{"epochs": 0}}}}
"""
CODE = '''
import random
import numpy as np
import torch
from reidbench import Dataset, Metrics, Sample, Selection, Split
from reidbench.training import Backbone, BackboneEmbedder, Embedder, Features, Preprocess, stream


class Counter:
    """State that a checkpoint can take."""
    value = 0.0
    def state_dict(self): return {"value": self.value}
    def load_state_dict(self, state): self.value = state["value"]


class Network(Backbone):
    def __init__(self):
        super().__init__()
        self.layer, self.dim = torch.nn.Conv2d(3, 4, 4, 4), 4
    def forward(self, images):
        return Features(self.layer(images), self.layer(images).mean((2, 3)))


def network(params, image_size): return Network()


def same_network(params, image_size):
    found = Network()
    for weight in found.parameters(): weight.data.fill_(0.5)
    return found


def kept(ctx):
    """Keeps the network that it starts from; a fresh one is drawn by the harness."""
    return BackboneEmbedder(ctx.backbone(), Preprocess(ctx.image_size))


def new_head(ctx):
    """Draws from torch's global generator, which only another seed of the whole stage changes."""
    backbone = ctx.backbone()
    first = next(backbone.parameters())
    first.data += torch.nn.Linear(1, 1).weight.item()
    return BackboneEmbedder(backbone, Preprocess(ctx.image_size))


class Shift(Embedder):
    def __init__(self, preprocess, shift, mode=""):
        super().__init__(preprocess=preprocess, shift=shift, mode=mode)
        self.register_buffer("value", torch.tensor(float(shift)))
        self.mode = mode
        self.hidden = 0.0
        self.drop = torch.nn.Dropout() if mode == "drop" else None
    def forward(self, images, camids=None):
        vector = images.mean((2, 3)) + self.value + self.hidden
        if self.mode == "batch": vector = vector - vector.mean(0)
        if self.mode == "flat": vector = vector.flatten()
        if self.mode == "camera" and camids is not None: vector = vector + camids[:, None]
        return vector


def train(ctx, draw, mode="", forget=False, name="counter"):
    generator, counter = stream(ctx.seed, "steps"), Counter()
    total = 0.0
    for epoch in ctx.checkpoint.epochs(ctx.params.epochs, **{name: counter, "generator": generator}):
        step = draw(generator)
        counter.value += step
        total += step
        ctx.log({"value": counter.value})
    return Shift(Preprocess(ctx.image_size), total if forget else counter.value, mode)


def own(generator): return float(torch.rand(1, generator=generator))
def sound(ctx): return train(ctx, own) if hasattr(ctx.params, "epochs") else Shift(Preprocess(ctx.image_size), 0.0)
def unseeded(ctx): return train(ctx, lambda g: float(np.random.default_rng().random()))
def numpy_global(ctx): return train(ctx, lambda g: float(np.random.rand()))
def python_global(ctx): return train(ctx, lambda g: random.random())
def torch_global(ctx): return train(ctx, lambda g: float(torch.rand(1)))
def dropping(ctx): return train(ctx, lambda g: float(torch.nn.Dropout()(torch.ones(16)).sum()), "drop")
def forgetful(ctx): return train(ctx, own, forget=True)
def nameless(ctx): return train(ctx, own, name=ctx.out.name)
def batchy(ctx): return train(ctx, own, "batch")
def flat(ctx): return train(ctx, own, "flat")
def camera(ctx): return train(ctx, own, "camera")
def raising(ctx): raise ValueError("no such thing")


def unrebuilt(ctx):
    embedder = train(ctx, own)
    embedder.hidden = 1.0
    return embedder


def setter(ctx):
    torch.set_default_dtype(torch.float64)
    return Shift(Preprocess(ctx.image_size), 0.5)


def stray(ctx):
    open("notes.txt", "w").close()
    return train(ctx, own)


def spoiler(ctx):
    image = ctx.source.root / ctx.source.paths[0]
    image.write_bytes(image.read_bytes() + b" ")
    return train(ctx, own)


def twice(ctx): return Selection(np.array([1, 1]), np.zeros(len(ctx.pool)))
def by_seed(ctx): return Selection(np.array([ctx.seed % len(ctx.pool)]), np.zeros(len(ctx.pool)))
def no_seed(ctx): return Selection(np.arange(2), np.zeros(len(ctx.pool)))
def rolling(ctx): return Metrics({"mAP": float(np.random.rand())})
def too_few(ctx): return Metrics({"mAP": 0.5}, {"ap": np.zeros(1)})


def strange_pids(params, root, cache):
    from PIL import Image
    cache.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 16)).save(cache / "a.png")
    return Dataset("x", cache, Split(cache, [Sample("a.png", -5, 0)]))

def people(params, root, cache):
    from PIL import Image
    cache.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 16)).save(cache / "a.png")
    return Dataset("x", cache, Split(cache, [Sample("a.png", 5, 0)]))


def knowing(params, root, cache): return people(params, root, cache).with_truth(object())
'''
# component -> (status, what its line says)
BROKEN = {
    "sound": ("ok", ""),
    "unseeded": ("failed", "determinism: two runs with the same seed differ (embedder.json)"),
    "numpy-global": ("failed", "global state: the result depends on numpy's"),
    "python-global": ("failed", "global state: the result depends on numpy's"),
    "torch-global": ("failed", "global state: the result depends on numpy's"),
    "dropping": ("ok", "dropout draws from torch's global generator"),
    "forgetful": ("failed", "resume: the result changes (embedder.json differs)"),
    "nameless": ("failed", "resume: restarted from the first epoch"),
    "batchy": ("failed", "shapes: in eval mode an image's features depend on the rest"),
    "flat": ("failed", "shapes: features are [12], not [4, D]"),
    "camera": ("failed", "shapes: features depend on camids"),
    "raising": ("failed", "run: ValueError: no such thing"),
    "unrebuilt": ("failed", "shapes: the embedder rebuilt from spec and weights gives features that differ"),
    "setter": ("failed", "global state: changed torch's default dtype"),
    "stray": ("failed", "files: wrote "),
    "mute": ("failed", "params: the component has no summary"),
    "needy": ("skipped", "requires file; set it in the plugin's CHECK = {'needy': ...}"),
    "wrong-example": ("failed", "run: finetuner.epochs: input should be greater than or equal to 1"),
    "twice": ("failed", "run: selector twice must return indices that are different and from 0 to 31"),
    "by-seed": ("failed", "determinism: declares 'seedless', but another seed gives another result ("),
    "no-seed": ("ok", ""),
    "kept": ("ok", ""),
    "new-head": ("failed", "determinism: declares 'seedless', but another seed gives another result (embedder.safe"),
    "drawn-network": ("failed", "determinism: declares 'seedless', but another seed gives another network"),
    "same-network": ("ok", ""),
    "rolling": ("failed", "determinism: two runs with the same seed differ (metrics)"),
    "too-few": ("failed", "run: evaluator too-few returned per_query 'ap' of shape (1,); it must have one entry for "),
    "strange-pids": ("failed", "shapes: a pid below -1 in train"),
    "rootless": ("skipped", "requires a root"),
    "no-truth": ("failed", "offers: declares the capability 'truth', but its Dataset.truth is None"),
    "quiet": ("failed", "offers: its Dataset.truth is never used; declare capabilities={'truth'}"),
    "wrong-lack": ("failed", "offers: declares that it lacks train, but has them"),
    "people": ("ok", "the checked copy has no cameras, test; if no copy has, declare lacks"),
    "bare": ("ok", "the checked copy has no cameras, test; if no copy has, declare lacks"),
}
TRAINED = list(BROKEN)[:15]


def write(folder: Path, head: str, code: str = CODE) -> Path:
    """A package `broken` with a README that names everything."""
    package = folder / "broken"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(head)
    (package / "code.py").write_text(code)
    (package / "README.md").write_text(f"# broken\n\n{', '.join([*BROKEN, 'spoiler'])}\n")
    return package


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> check.Findings:
    """All broken components, checked in one go, so that one could spoil the next."""
    return check_plugin(write(tmp_path_factory.mktemp("plugin"), HEAD.format(names=TRAINED)))


def line(report: check.Findings, name: str) -> check.Line:
    (found,) = (line for line in report.lines if line.name == name)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_each_broken_contract_is_one_clear_line(report: check.Findings, name: str) -> None:
    status, text = BROKEN[name]
    found = line(report, name)
    assert (found.status, found.text[: len(text)]) == (status, text)
    assert "\n" not in str(found)


@pytest.mark.slow
def test_the_plugin_itself_has_a_line_and_nothing_is_left_behind(
    report: check.Findings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import torch

    assert (report.lines[0].kind, report.lines[0].status) == ("plugin", "ok")
    assert len(report.lines) == 1 + len(BROKEN)
    assert torch.get_default_dtype() is torch.float32
    assert "broken" not in sys.modules
    assert not any(Path(path).is_relative_to(tmp_path_factory.getbasetemp()) for path in sys.path)


@pytest.mark.slow
def test_a_method_that_spoils_its_data_is_found(tmp_path: Path, fixed_declaration: None) -> None:
    head = HEAD.format(names=["spoiler"]).replace('traits={"label-free"}', "traits=frozenset()")
    found = check_plugin(write(tmp_path, head), only="spoiler")
    assert line(found, "spoiler").text.startswith("files: wrote ")


@pytest.mark.slow
def test_torch_in_a_declaration_is_reported(tmp_path: Path) -> None:
    file = write(tmp_path, "import torch\n" + HEAD.format(names=["sound"]))
    found = check_plugin(file, only="sound")
    assert found.lines[0].status == "failed"
    assert found.lines[0].text.startswith("import: the declaration imports torch")
    assert found.lines[1].status == "ok"


@pytest.mark.slow
def test_a_package_needs_a_readme_that_names_its_components(tmp_path: Path) -> None:
    package = write(tmp_path, HEAD.format(names=["sound"]))
    (package / "README.md").write_text(
        "# broken: `sound`, mute, needy, by-seed, no-seed, wrong-example, twice, rolling, rootless, no-truth, quiet, "
        "wrong-lack, people, bare, kept, new-head, drawn-network, same-network\n"
    )
    assert "does not mention strange-pids, too-few" in check_plugin(package, only="needy").lines[0].text
    (package / "README.md").unlink()
    assert "no README.md" in check_plugin(package, only="needy").lines[0].text


@pytest.mark.slow
def test_a_changed_result_needs_another_version(tmp_path: Path, fixed_declaration: None) -> None:
    package = write(tmp_path, HEAD.format(names=["sound"]))

    def tell(**options: bool) -> check.Line:
        return line(check_plugin(package, only="sound", **options), "sound")

    assert tell(keep_record=True).text == ""
    assert json.loads((package / "reidbench-check.json").read_text())["finetuner sound"]["version"] == 1
    assert tell().text == "same result as recorded"
    (package / "code.py").write_text(CODE.replace('"steps")', '"other")'))
    changed = tell()
    assert changed.status == "failed"
    assert "bump the component's version" in changed.text


def test_defaults_become_small_as_far_as_their_rules_allow(registry: plugins.Registry) -> None:
    moco = registry.get("pretrainer", "moco-v2").params
    made = small(moco, {})
    assert (made["epochs"], made["batch"], made["splits"], made["queue"]) == (2, 8, 2, 16)  # 8 in 8 splits is refused
    moco(**made)
    assert small(moco, {"epochs": 7}).get("epochs") is None
    assert small(registry.get("dataset", "synthetic").params, {}) == {"size": "tiny"}
    assert small(registry.get("finetuner", "none").params, {}) == {}


def test_unknown_plugins_and_components_are_reported(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="unknown plugin 'nonsense'"):
        check_plugin("nonsense")
    with pytest.raises(PluginError, match=r"reidbench_upreid has no component 'moco' \(known: up-reid\)"):
        check_plugin("reidbench_upreid", only="moco")
    (tmp_path / "bad.py").write_text("raise RuntimeError('not today')\n")
    with pytest.raises(PluginError, match="plugin bad:bad cannot be loaded: RuntimeError: not today"):
        check_plugin(tmp_path / "bad.py")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    with pytest.raises(PluginError, match="no entry point in the group 'reidbench'"):
        check_plugin(tmp_path)


def test_installed_is_found_by_the_harness_and_forgotten_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, HEAD.format(names=["sound"]))
    before = list(sys.path)
    with installed(file) as name:
        assert name == "broken:broken"
        assert ("finetuner", "sound") in plugins.load().components
    assert sys.path == before
    assert ("finetuner", "sound") not in plugins.load().components


PROMISES_HEAD = """
from reidbench import Component, Params, hookimpl
SAID = {"says-source": {"source"}, "idle": {"source", "start"}, "says-all": {"source", "cameras", "start"}}


@hookimpl
def reidbench_adapters():
    for name in ("sound", "source", "starts", "looks", "either", *SAID):
        yield Component(name, "broken.code:" + name.replace("-", "_"), summary="x", requires=SAID.get(name, set()))


@hookimpl
def reidbench_finetuners():
    yield Component("seen", "broken.code:seen", summary="x", protocol={"cameras"})


@hookimpl
def reidbench_selectors():
    yield Component("knows", "broken.code:knows", summary="x", protocol={"truth"})
    yield Component("truthful", "broken.code:knows", summary="x", protocol={"truth"}, requires={"truth"})
"""
PROMISES = """
def source(ctx):
    ctx.source.labels()
    return sound(ctx)


def starts(ctx):
    ctx.start.eval()
    return sound(ctx)


def looks(ctx):
    if ctx.target.camids.max() < 1:
        raise ValueError("where are the cameras?")
    return sound(ctx)


def either(ctx):
    if ctx.source is None and ctx.start is None:
        raise ValueError("one of them")
    return sound(ctx)


def says_all(ctx): return (looks(ctx), starts(ctx), source(ctx))[0]
def says_source(ctx): return source(ctx)
def idle(ctx): return sound(ctx)


def seen(ctx):
    assert len(np.unique(ctx.source.camids)) == 2
    return sound(ctx)


def knows(ctx):
    scores = np.array([float(ctx.truth.relevance(index)) for index in range(len(ctx.pool))])
    return Selection(np.arange(len(scores)), scores)
"""
KEPT = {
    "sound": ("ok", ""),
    "source": ("failed", "requires: fails without a source (AttributeError: 'NoneType' object has no attribute "
               "'labels'); declare requires={'source'}"),
    "starts": ("failed", "requires: fails without a trained embedder to start from (AttributeError: 'NoneType' "
               "object has no attribute 'eval'); declare requires={'start'}"),
    "looks": ("failed", "requires: fails without cameras (ValueError: where are the cameras?); declare "
              "requires={'cameras'}"),
    "either": ("failed", "requires: fails without cameras or a source or a trained embedder to start from "
               "(ValueError: one of them); declare requires={'cameras', 'source', 'start'}"),
    "says-source": ("ok", ""),
    "idle": ("ok", "also works without a source: requires need not include 'source'; also works without a trained "
             "embedder to start from: requires need not include 'start'"),
    "says-all": ("ok", ""),
    "seen": ("failed", "requires: fails without cameras (AssertionError); declare requires={'cameras'}"),
    "knows": ("failed", "requires: fails without the truth about its images (knows needs the truth, which source "
              "does not have); declare requires={'truth'}"),
    "truthful": ("ok", ""),
}  # fmt: skip


@pytest.mark.slow
def test_what_a_component_requires_is_tried(tmp_path: Path, fixed_declaration: None) -> None:
    package = write(tmp_path, PROMISES_HEAD, CODE + PROMISES)
    found = check_plugin(package)
    assert {one.name: (one.status, one.text) for one in found.lines[1:]} == KEPT


CRASHES = """
def leaves(ctx): os._exit(3)


def aborts(ctx):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False)
    os.abort()
"""
ENDINGS = {
    "sound": ("ok", ""),
    "aborts": ("failed", "run: the process was killed by signal 6 (SIGABRT)"),
    "leaves": ("failed", "run: the process exited with code 3"),
    "dropping": ("ok", "dropout draws from torch's global generator, which the checkpoint keeps"),
}


@pytest.mark.slow
def test_a_crash_is_a_line_and_the_others_are_tried(tmp_path: Path, fixed_declaration: None) -> None:
    names = list(ENDINGS)
    code = "import os, subprocess, sys\n" + CODE + CRASHES
    head = HEAD.partition('    yield Component("mute"')[0].format(names=names)
    package = write(tmp_path, head, code)
    (package / "README.md").write_text(f"# broken\n\n{', '.join(names)}\n")
    found = check_plugin(package)
    assert {one.name: (one.status, one.text) for one in found.lines[1:]} == ENDINGS
    assert list(found.digests) == ["finetuner sound", "finetuner dropping"]


WAITING = """
def waits(ctx):
    import time
    (ctx.scratch / "begun").touch()
    while True:
        time.sleep(1)
"""


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_check_leaves_no_process(sent: signal.Signals, tmp_path: Path, interruptible: None) -> None:
    head = HEAD.partition('    yield Component("mute"')[0].format(names=["waits"])
    package = write(tmp_path, head, CODE + WAITING)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "reidbench", "check", str(package)]
    check_process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: any(tmp_path.glob("reidbench-check-*/*/runs/*-scratch/begun")))
    (child,) = [int(task.name) for task in Path("/proc").glob("[0-9]*") if is_child(task, str(tmp_path))]
    check_process.send_signal(sent)
    check_process.wait()
    wait_for(lambda: not Path(f"/proc/{child}").exists())
    assert (sent == signal.SIGINT) != any(tmp_path.glob("reidbench-check-*"))


def wait_for(happened: Callable[[], bool]) -> None:
    for _ in range(1200):
        if happened():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen within two minutes")


def is_child(process: Path, folder: str) -> bool:
    """Whether a process is the one that tries components in a folder."""
    try:
        command = (process / "cmdline").read_text().split("\0")
    except OSError:
        return False
    return "reidbench.check" in command and any(word.startswith(folder) for word in command)


@pytest.mark.slow
def test_exit_codes(tmp_path: Path, fixed_declaration: None) -> None:
    package = write(tmp_path, HEAD.format(names=["sound"]))
    failing = CliRunner().invoke(main.app, ["check", str(package), "--only", "mute"])
    assert failing.exit_code == 1
    assert failing.output.splitlines()[1].startswith("finetuner  mute                 failed  params: ")
    assert failing.output.endswith("1 ok, 0 skipped, 1 failed\n")
    skipped = CliRunner().invoke(main.app, ["check", str(package), "--only", "needy"])
    assert (skipped.exit_code, skipped.output.splitlines()[-1]) == (0, "1 ok, 1 skipped, 0 failed")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "reidbench", "check", "nonsense"]
    wrong = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("reidbench: unknown plugin 'nonsense'")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plugin", "component"),
    [("reidbench_baseline", "bot"), ("reidbench_baseline", "cosine"), ("reidbench_cluster", "adabn")],
)
def test_some_shipped_components(plugin: str, component: str, fixed_declaration: None) -> None:
    found = check_plugin(plugin, only=component)
    assert line(found, component).status == "ok", str(found)


@pytest.fixture
def fixed_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declarations are tried by the tests of `report` and by the slow one; three interpreters are saved here."""
    monkeypatch.setattr(check.suite.declared, "light_import", lambda plugin, timeout: None)


@pytest.mark.long
@pytest.mark.parametrize("plugin", plugins.BUILTIN)
def test_every_shipped_plugin_keeps_the_contracts(plugin: str) -> None:
    found = check_plugin(plugin)
    assert not found.failures, str(found)
    skipped = {one.text.partition(";")[0] for one in found.lines if one.status == "skipped"}
    known = {"requires a root", "requires file", "requires folder", "requires model", "needs the package anny"}
    known |= {"its pool must be rendered persons, and the check's is not"}
    known |= {"a tracker sends runs to another program: only its declaration is checked"}
    known |= {"an executor runs whole matrices: only its declaration is checked"}
    assert skipped <= known, str(found)


@pytest.mark.slow
def test_a_data_set_with_an_example_root(market: Path, fixed_declaration: None) -> None:
    examples = {"market-folder": check.Example(root=market)}
    found = check_plugin("reidbench_datasets", only="market-folder", examples=examples)
    assert line(found, "market-folder").status == "ok", str(found)
    assert np.all([one.status == "ok" for one in found.lines])


HANGING = """
import json, os, sys, time
def say(**event):
    os.write(int(os.environ["REIDBENCH_EVENTS"]), json.dumps(event).encode() + b"\\n")
if not os.path.exists(sys.argv[1]):
    open(sys.argv[1], "w").close()
    say(step="the first run")
    time.sleep(3600)
say(step="the first run")
say(kind="finetuner", name="sound", status="ok", text="", digest=None)
"""


@pytest.mark.slow
def test_a_step_that_hangs_is_ended_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is a stand-in that starts in milliseconds: what it tries hangs the first time that it is started."""
    command = [sys.executable, "-I", "-S", "-c", HANGING, str(tmp_path / "was here")]
    monkeypatch.setattr(child, "guarded", lambda module, file: command)
    components = [("finetuner", "hanging"), ("finetuner", "sound")]
    lines = [line for line, _ in child.lines(child.Task("p", components, tmp_path, timeout=5))]
    assert [(line.name, line.status) for line in lines] == [("hanging", "failed"), ("sound", "ok")]
    assert lines[0].text == "run: the first run took longer than 5 s and was stopped; raise the limit with --timeout"


def test_a_declaration_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(3600)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin = plugins.Plugin("slow", "", str(tmp_path / "slow_to_import.py"), "slow_to_import")
    with pytest.raises(Broken, match="import: takes longer than 1 s in a fresh interpreter; raise the limit"):
        declared.light_import(plugin, 1)
