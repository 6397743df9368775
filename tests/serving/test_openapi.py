"""Schemathesis, by the OpenAPI document: every answer has a documented status and the documented form."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.services import Command

pytest.importorskip("schemathesis")

ROOT = Path(__file__).parents[2]


def tried(served: Command, tmp_path: Path, examples: int) -> str:
    """The output of schemathesis with a fixed seed. Its pictures are those of tests/support/schemathesis_hooks.py."""
    words = [sys.executable, "-m", "schemathesis.cli", "run", f"{served.address}openapi.json", "--seed", "1"]
    words += ["--max-examples", str(examples), "--phases", "examples,coverage,fuzzing", "--workers", "1", "--no-color"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *sys.path])
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_schemathesis_finds_nothing(served: Command, tmp_path: Path) -> None:
    assert "No issues found" in tried(served, tmp_path, 10)


@pytest.mark.long
def test_schemathesis_finds_nothing_in_many_requests(
    served: Command, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    said = tried(served, tmp_path, 150)
    (cases,) = re.findall(r"^ *([0-9]+) generated, \1 passed", said, re.MULTILINE)
    figure(f"search service: {cases} cases of schemathesis passed")
