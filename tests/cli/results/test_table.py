"""`reidbench table` writes the leaderboard to a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.cli import main
from reidbench.cli.end import exit_code

PACK = Path(__file__).parents[3] / "benchmarks" / "results" / "packs" / "quickstart.zip"


@pytest.mark.slow
def test_a_file_name_that_suggests_another_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, wanted in (("page.html", "html"), ("page.TEX", "latex"), ("page.md", ""), ("page", "")):
        out = tmp_path / name
        assert exit_code(lambda out=out: main.app(["table", str(PACK), "-o", str(out)])) == 0
        said = f"note: {out} contains md; for {wanted}, add --format {wanted}\n" if wanted else ""
        written = capsys.readouterr().err
        assert [line for line in written.splitlines(True) if line.startswith("note: ")] == ([said] if said else [])
