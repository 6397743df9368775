"""`reidbench new`: a package whose own tests pass at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reidbench import scaffold
from reidbench.check import Line, suite
from reidbench.check.child import Task
from reidbench.errors import ReidbenchError
from reidbench.hookspecs import HOOKS
from reidbench.registry import plugins
from reidbench.testing import installed


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd)


@pytest.mark.slow
def test_a_new_plugin_passes_its_own_tests(tmp_path: Path) -> None:
    made = run("-m", "reidbench", "new", "mean-colour", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("reidbench-mean-colour: a plugin with the fine-tuner mean-colour\n")
    project = tmp_path / "reidbench-mean-colour"
    tested = run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=project)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "2 passed" in tested.stdout
    linted = run("-m", "ruff", "check", "--isolated", "--select", "E,F,W,UP,B", "--line-length=120", ".", cwd=project)
    assert linted.returncode == 0, linted.stdout


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Components are tried in this process: each child would import torch for seconds."""

    def lines(task: Task) -> Iterator[tuple[Line, object]]:
        registry = plugins.load(task.disabled)
        for kind, name in task.components:
            yield suite.try_component(registry, registry.plugins[task.plugin], kind, name, task, lambda step: None)

    monkeypatch.setattr(suite.child, "lines", lines)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in scaffold.KINDS if kind != "finetuner"])
def test_a_new_package_of_any_kind_passes_its_own_tests(kind: str, tmp_path: Path, one_process: None) -> None:
    project = scaffold.write(f"new-{kind}", tmp_path / "project", kind)
    file = project / "tests" / f"test_reidbench_new_{kind}.py"
    own: dict[str, Any] = {"__file__": str(file)}
    exec(compile(file.read_text(), str(file), "exec"), own)  # noqa: S102 - what we have just written
    with installed(project) as plugin:
        own["test_contracts"](plugin)
        own["test_its_row_is_in_the_table"](plugin, tmp_path)


def test_what_is_written_is_tidy_and_declares_its_kind(tmp_path: Path) -> None:
    for kind, hook in HOOKS.items():
        project = scaffold.write("mine", tmp_path / kind, kind)
        with installed(project) as plugin:
            registry = plugins.load()
        offered = {of_kind for (of_kind, _), owner in registry.source.items() if owner == plugin}
        assert kind in offered
        assert f"def {hook}()" in (project / "reidbench_mine" / "__init__.py").read_text()
        assert f"reidbench show {kind} mine" in (project / "README.md").read_text()
    checks = ("ruff", "check", "--isolated", "--select", "E,F,W,UP,B", "--line-length=120", ".")
    linted = run("-m", *checks, cwd=tmp_path)
    assert linted.returncode == 0, linted.stdout
    formatted = run("-m", "ruff", "format", "--isolated", "--check", "--line-length=120", ".", cwd=tmp_path)
    assert formatted.returncode == 0, formatted.stdout


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    made = run("-m", "reidbench", "new", "mine", "--kind", "adaptor", cwd=tmp_path)
    assert made.returncode == 2
    assert "adaptor" in made.stderr
    assert "adapter" in made.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_check_finds_by_its_name_what_new_has_just_written(tmp_path: Path) -> None:
    assert run("-m", "reidbench", "new", "mean_colour", cwd=tmp_path).returncode == 0
    for name in ("mean-colour", "mean_colour", "reidbench-mean-colour", "reidbench_mean_colour"):
        checked = run("-m", "reidbench", "check", name, "--only", "nothing", cwd=tmp_path)
        assert checked.stderr.endswith("has no component 'nothing' (known: mean-colour)\n")
    unknown = run("-m", "reidbench", "check", "../x", cwd=tmp_path)
    assert "unknown plugin '../x'" in unknown.stderr
    assert unknown.returncode == 2


def test_a_name_gives_component_distribution_and_module() -> None:
    expected = {"name": "mean-colour", "distribution": "reidbench-mean-colour", "module": "reidbench_mean_colour"}
    for given in ("mean-colour", "reidbench-mean-colour", "Mean_Colour", "reidbench_mean_colour"):
        assert scaffold.names(given) == expected
    for wrong in ("", "mean colour", "-x", "../x", "1st", "é"):
        with pytest.raises(ReidbenchError, match="use words of a-z and 0-9 joined"):
            scaffold.names(wrong)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert scaffold.write("x", tmp_path / "mine") == tmp_path / "mine"  # an empty folder will do
    before = (tmp_path / "mine" / "README.md").read_text()
    with pytest.raises(ReidbenchError, match="this path already exists"):
        scaffold.write("y", tmp_path / "mine")
    assert (tmp_path / "mine" / "README.md").read_text() == before
    (tmp_path / "file").touch()
    with pytest.raises(ReidbenchError, match="this path already exists"):
        scaffold.write("y", tmp_path / "file")
    with pytest.raises(ReidbenchError, match="cannot be written"):
        scaffold.write("y", tmp_path / "file" / "below")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [["new", "a-b"], ["clean", "nothing.yaml"], ["check", "nonsense"], ["check", "--help"]]
)
def test_these_commands_start_without_torch(command: list[str], tmp_path: Path) -> None:
    code = (
        f"import sys\nfrom reidbench.cli import main as cli\nsys.argv = ['reidbench', *{command!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "print('\\nHEAVY', [n for n in ('torch', 'sklearn', 'faiss', 'lightning_fabric') if n in sys.modules])\n"
    )
    assert run("-c", code, cwd=tmp_path).stdout.endswith("HEAVY []\n")


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("bot", "finetuner", "fine-tuner 'bot' exists already; give another name"),
        ("cosine", "evaluator", "evaluator 'cosine' exists already"),
        ("pcb", "adapter", "the module reidbench_pcb exists already"),
    ],
)
def test_names_that_are_taken_are_refused(name: str, kind: str, words: str, registry: plugins.Registry) -> None:
    with pytest.raises(ReidbenchError, match=words):
        scaffold.refuse_taken(name, kind, registry)
    scaffold.refuse_taken("surely-new", kind, registry)
