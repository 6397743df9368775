"""No documented installation, and no set of extras, installs two distributions of the module faiss."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^pip (install .*?) +#", README, re.MULTILINE)
OWNER = {"install '.[report]' faiss-cpu": "faiss-cpu", "install '.[report,gpu]'": "faiss-gpu"}


def owners(requirements: list[str]) -> list[str]:
    """The distributions among them that provide the module faiss."""
    names = [re.split(r"[^a-z0-9-]", one.lower().replace("_", "-"))[0] for one in requirements]
    return sorted({name for name in names if name.startswith("faiss")})


def test_all_extras_together_ask_for_one_faiss() -> None:
    extras = PROJECT["optional-dependencies"]
    assert owners(PROJECT["dependencies"]) == []
    assert owners(extras["gpu"]) == ["faiss-gpu"]
    assert owners([one for extra in extras.values() for one in extra]) == ["faiss-gpu"]


def test_make_installs_one_faiss_that_can_be_chosen() -> None:
    make = (ROOT / "Makefile").read_text()
    assert re.findall(r"^FAISS +\?= (.*)$", make, re.MULTILINE) == ["faiss-cpu"]
    assert re.findall(r"pip uninstall .*", make) == [
        "pip uninstall --quiet --quiet --disable-pip-version-check --yes faiss-cpu faiss-gpu"
    ]
    assert re.findall(r"pip install .*", make) == [
        'pip install --quiet --disable-pip-version-check --prefer-binary -c constraints.txt -e ".[dev]" $(FAISS)'
    ]


def test_the_documented_commands_are_those_that_are_tried() -> None:
    assert list(OWNER) == COMMANDS


@pytest.mark.long
@pytest.mark.parametrize("command", OWNER)
def test_what_a_documented_command_would_install(command: str, tmp_path: Path) -> None:
    """pip resolves the command against its index, as if nothing were installed; it installs nothing."""
    package = tmp_path / "package"  # hatchling writes nothing into the checkout
    for name in ("reidbench", "plugins"):
        shutil.copytree(ROOT / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, package)
    report = tmp_path / "report.json"
    options = ["--dry-run", "--ignore-installed", "--no-build-isolation", "--quiet", "--prefer-binary"]
    pinned = ["-c", str(ROOT / "constraints.txt"), "--report", str(report)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *shlex.split(command), *options, *pinned],
        cwd=package,
        capture_output=True,
        text=True,
    )
    if re.search(r"No matching distribution|Connection|timed out|Failed to establish", done.stderr):
        pytest.skip(f"the index cannot be asked: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    planned = [one["metadata"]["name"] for one in json.loads(report.read_text())["install"]]
    assert {"reidbench", "torch"} <= set(planned)
    assert owners(planned) == [OWNER[command]]
