"""Release files agree: one version, one list of Pythons, pinned actions, a Dockerfile that copies existing files."""

from __future__ import annotations

import datetime
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import reidbench

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PYTHONS = [one.rsplit(" ", 1)[1] for one in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", one)]


def loaded(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def test_one_version_everywhere() -> None:
    citation = loaded("CITATION.cff")
    version, released = re.findall(r"^## (\S+) - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    assert PROJECT["version"] == reidbench.__version__ == citation["version"] == version
    assert citation["date-released"] == datetime.date.fromisoformat(released)
    for file in ("reidbench/scaffold/pyproject.toml.tmpl", "tests/example_plugin/pyproject.toml"):
        assert f"reidbench>={version}" in (ROOT / file).read_text()


def test_citation_and_project_have_one_licence_and_address() -> None:
    citation = loaded("CITATION.cff")
    assert citation["license"] == PROJECT["license"]
    if "OWNER" in PROJECT["urls"]["Repository"]:
        assert "repository-code" not in citation  # a placeholder is not an address to cite
    else:
        assert citation["repository-code"] == PROJECT["urls"]["Repository"]
    assert {url.removeprefix(PROJECT["urls"]["Repository"])[:1] for url in PROJECT["urls"].values()} <= {"", "/"}


def test_workflows_test_every_declared_python() -> None:
    assert f">={PYTHONS[0]}" == PROJECT["requires-python"]
    jobs = loaded(".github/workflows/ci.yml")["jobs"]
    matrix = jobs["test"]["strategy"]["matrix"]
    assert matrix["python"] == PYTHONS
    assert {system.split("-")[0] for system in matrix["os"]} == {"ubuntu", "macos"}
    for job in jobs.values():
        for step in job["steps"]:
            asked = str(step.get("with", {}).get("python-version", PYTHONS[0]))
            assert asked in {*PYTHONS, "${{ matrix.python }}"}


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_make_targets_exist(file: Path) -> None:
    text = file.read_text()
    used = re.findall(r"uses: (.*)", text)
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)] == []
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= set(targets)
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def docker_lines() -> list[list[str]]:
    """The words of each instruction."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    return [line.split() for line in text.splitlines() if line and not line.startswith("#")]


def test_the_dockerfile_copies_existing_files_that_docker_may_read() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [name for word, *names in docker_lines() if word == "COPY" for name in names[:-1]]
    assert sorted(copied) == sorted(allowed)
    for name in copied:
        assert (ROOT / name).exists(), name


def test_the_dockerfile_installs_declared_extras_as_a_plain_user() -> None:
    lines = docker_lines()
    base = lines[0]
    assert base[0] == "FROM"
    python = re.fullmatch(r"python:(3\.\d+)-slim-\w+", base[1])
    assert python is not None
    assert python[1] in PYTHONS
    extras = {one for line in lines for found in re.findall(r"\.\[(.*?)\]", " ".join(line)) for one in found.split(",")}
    assert extras
    assert extras <= set(PROJECT["optional-dependencies"])
    assert [line for line in lines if line[0] == "USER"] == [["USER", "1000:1000"]]
