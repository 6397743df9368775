"""The wheel is complete, and a third-party plugin installs with it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from reidbench.registry import plugins

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WHEEL = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def plugins_of_the_contracts() -> list[str]:
    """The packages that the import contracts separate."""
    (kept,) = (one for one in PROJECT["tool"]["importlinter"]["contracts"] if one["name"].startswith("Plugins"))
    apart, core = kept["layers"]
    assert core == "reidbench"
    return [name.strip() for name in apart.split("|")]


LISTS = {
    "folders": lambda: [path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").exists()],
    "wheel": lambda: [path.removeprefix("plugins/") for path in WHEEL if path != "reidbench"],
    "roots": lambda: [name for name in PROJECT["tool"]["importlinter"]["root_packages"] if name != "reidbench"],
    "contracts": plugins_of_the_contracts,
}


@pytest.mark.parametrize("name", LISTS)
def test_every_list_of_plugins_is_that_of_the_registry(name: str) -> None:
    assert sorted(LISTS[name]()) == sorted(plugins.BUILTIN)


def test_no_package_marker_where_none_belongs() -> None:
    for folder in ("plugins", "tests", "benchmarks"):
        assert not (ROOT / folder / "__init__.py").exists()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_core_and_plugins_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"reidbench", *plugins.BUILTIN}
    assert "reidbench/py.typed" in names  # for type checkers


PLUGIN = '''"""A finetuner from outside: mean colours of the picture."""
from pydantic import Field
from reidbench import Component, Params, hookimpl


class MeanParams(Params):
    grid: int = Field(4, ge=1, description="rows and columns of mean colours")


@hookimpl
def reidbench_finetuners():
    yield Component("mean-colour", "mean_colour.method:finetune", MeanParams, traits=frozenset({"label-free"}))
'''
METHOD = """import torch.nn.functional as F
from reidbench.training import Embedder, Preprocess


class MeanColour(Embedder):
    def __init__(self, preprocess, grid):
        super().__init__(preprocess=preprocess, grid=grid)
        self.grid = grid

    def forward(self, images, camids=None):
        return F.adaptive_avg_pool2d(images, self.grid).flatten(1)


def finetune(ctx):
    return MeanColour(Preprocess(ctx.image_size), ctx.params.grid)
"""
MANIFEST = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "reidbench-mean-colour"
version = "0.1"
[project.entry-points.reidbench]
mean-colour = "mean_colour"
[tool.hatch.build.targets.wheel]
packages = ["mean_colour"]
"""


def test_a_plugin_of_25_lines_installed_with_pip_becomes_a_row(wheel: Path, tmp_path: Path, market: Path) -> None:
    assert sum(bool(line.strip()) for line in (PLUGIN + METHOD).splitlines()) <= 25
    package = tmp_path / "package"
    (package / "mean_colour").mkdir(parents=True)
    (package / "pyproject.toml").write_text(MANIFEST)
    (package / "mean_colour" / "__init__.py").write_text(PLUGIN)
    (package / "mean_colour" / "method.py").write_text(METHOD)
    site = tmp_path / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(site),
    ]
    for what in (wheel, package):
        done = subprocess.run([*pip, str(what)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    environment = {**os.environ, "PYTHONPATH": str(site)}
    environment.pop("REIDBENCH_PLUGINS")

    def reidbench(*arguments: str) -> str:
        command = [sys.executable, "-m", "reidbench", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = reidbench("plugins")
    assert str(site / "reidbench_baseline") in listed  # the wheel's, not the checkout's
    assert "reidbench-mean-colour:mean-colour" in listed
    (tmp_path / "matrix.yaml").write_text(
        f"image_size: [32, 16]\ndata: {{m: {{use: market-folder, root: {market}}}}}\ntasks: {{m: {{target: m}}}}\n"
        "backbone: resnet-tiny\nmethods: {mine: {finetune: {use: mean-colour, grid: 2}}}\n"
    )
    assert "| mine " in reidbench("run", "matrix.yaml")
