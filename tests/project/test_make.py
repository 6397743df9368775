"""`make test` with a test whose process crashes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def options() -> list[str]:
    """The Makefile's options for distributing tests over two processes."""
    found = re.search(r"^SPREAD := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1].replace("$(JOBS)", "2").split()


@pytest.mark.slow
def test_a_test_whose_process_dies_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    before = "".join(f"def test_before_{n}(): pass\n" for n in range(3))
    after = "".join(f"def test_after_{n}(): pass\n" for n in range(3))
    dies = "import os\ndef test_dies(): os.abort()\n"
    for name in ("one", "other"):
        (tmp_path / f"test_{name}.py").write_text(before + dies + after)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options(), str(tmp_path)]
    # This test may itself run in one of several processes.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    found = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert found.returncode == 1, found.stdout
    assert "INTERNALERROR" not in found.stdout
    for name in ("one", "other"):
        assert f"crashed while running 'test_{name}.py::test_dies'" in found.stdout
    assert "2 failed, 12 passed" in found.stdout
