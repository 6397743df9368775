"""The wheel and the sdist are complete, install in an empty environment, and take plugins of others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
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


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build a `wheel` or `sdist` of a source tree into a folder."""
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_core_and_plugins_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"reidbench", *plugins.BUILTIN}
    assert "reidbench/py.typed" in names  # for type checkers


@pytest.mark.slow
def test_the_sdist_is_the_source_of_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    sdist = build("sdist", ROOT, tmp_path / "sdist")
    assert sdist.name == wheel.name.replace("-py3-none-any.whl", ".tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    source = tmp_path / sdist.name.removesuffix(".tar.gz")
    for name in ("tests", "benchmarks", "docs", "Makefile", "constraints.txt", "CHANGELOG.md", "CITATION.cff"):
        assert (source / name).exists(), name
    again = zipfile.ZipFile(build("wheel", source, tmp_path / "wheel"))
    first = zipfile.ZipFile(wheel)
    assert {one.filename: one.CRC for one in again.infolist()} == {one.filename: one.CRC for one in first.infolist()}


@pytest.mark.long
def test_the_wheel_runs_a_matrix_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """Only declared dependencies are installed: neither extras nor what this environment has."""
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    places = {"HOME": str(tmp_path), "PATH": f"{programs}:/usr/bin:/bin", "REIDBENCH_CACHE": str(tmp_path / "cache")}
    index = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}

    def run(*command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, env={**index, **places}, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pip = [
        str(programs / "pip"),
        "install",
        "--quiet",
        "--prefer-binary",
        "--constraint",
        str(ROOT / "constraints.txt"),
    ]
    run(*pip, str(wheel), "faiss-cpu")
    reidbench = str(programs / "reidbench")
    assert run(reidbench, "--version") == f"reidbench {PROJECT['project']['version']}\n"
    assert "Usage: reidbench" in run(reidbench, "--help")
    assert set(re.findall(r"reidbench_\w+", run(reidbench, "plugins"))) >= set(plugins.BUILTIN)
    (tmp_path / "matrix.yaml").write_text(
        "image_size: [32, 16]\ndata: {p: {use: synthetic, world: plaza, size: tiny}}\n"
        "tasks: {p: {source: p, target: p}}\nbackbone: resnet-tiny\nmethods: {bot: {finetune: {use: bot, epochs: 1}}}\n"
    )
    assert "| bot " in run(reidbench, "run", "matrix.yaml")


PLUGIN = '''"""A finetuner from outside: mean colours of the picture."""
from pydantic import Field
from reidbench import Component, Params, hookimpl


class MeanParams(Params):
    grid: int = Field(4, ge=1, description="rows and columns of mean colours")


@hookimpl
def reidbench_finetuners():
    yield Component(
        "mean-colour",
        "mean_colour.method:finetune",
        MeanParams,
        summary="mean colours of a grid, without training",
        traits=frozenset({"label-free"}),
    )
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
MANIFEST = """[project]
name = "mean-colour"
version = "0.1"
readme = {text = "The fine-tuner `mean-colour` embeds an image by mean colours.", content-type = "text/markdown"}

[project.entry-points.reidbench]
mean-colour = "mean_colour"
"""


@pytest.mark.slow
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
    assert "mean-colour:mean-colour" in listed
    assert "2 ok, 0 skipped, 0 failed" in reidbench("check", "mean_colour")
    (tmp_path / "matrix.yaml").write_text(
        f"image_size: [32, 16]\ndata: {{m: {{use: market-folder, root: {market}}}}}\ntasks: {{m: {{target: m}}}}\n"
        "backbone: resnet-tiny\nmethods: {mine: {finetune: {use: mean-colour, grid: 2}}}\n"
    )
    assert "| mine " in reidbench("run", "matrix.yaml")
