"""docs/notebook.ipynb runs, in a kernel if Jupyter is installed, and its committed outputs are current."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import notebook

FILE = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
WORD = re.compile(r"[a-z][a-z_]+\d?", re.IGNORECASE)


def words(outputs: list[dict[str, Any]]) -> list[str]:
    """The words of a cell's output; numbers differ between processors."""
    texts = ["".join(one["data"]["text/plain"]) for one in outputs if one["output_type"] == "execute_result"]
    return WORD.findall(" ".join(texts).replace("NaN", "").replace("<NA>", ""))


def in_a_kernel() -> list[list[dict[str, Any]]]:
    """Run the code cells as Jupyter does; return the outputs of each."""
    import nbclient
    import nbformat

    whole = nbformat.read(FILE, as_version=4)
    nbclient.NotebookClient(whole, timeout=300, kernel_name="python3").execute()
    return [list(cell["outputs"]) for cell in notebook.code_cells(whole)]


@pytest.mark.slow
def test_the_notebook_shows_what_is_in_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m tests.support.notebook docs/notebook.ipynb` updates its outputs."""
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    page = notebook.load(FILE)
    jupyter = all(map(importlib.util.find_spec, ("nbclient", "ipykernel")))
    found = in_a_kernel() if jupyter else notebook.run(page)
    kept = [cell["outputs"] for cell in notebook.code_cells(page)]
    assert [words(outputs) for outputs in found] == [words(outputs) for outputs in kept]
    shown = [one for outputs in found for one in outputs if one["output_type"] == "display_data"]
    texts = [one["data"]["text/plain"] for one in shown]
    assert len(texts) == jupyter
    assert all(text.startswith("16 of 16 stages\nbest so far: plaza: ") for text in texts)


def test_what_git_has_is_short_and_of_no_place() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert len(text) < 32_000
    assert not re.search(r"(?<![\w<.])/(home|tmp|root|Users)/", text)
    assert sum(bool(words(cell["outputs"])) for cell in notebook.code_cells(notebook.load(FILE))) == 6
