"""Run the code cells of a notebook in order, in one namespace, and store their short outputs.

`python -m tests.support.notebook docs/notebook.ipynb` runs it and updates its outputs: the value of each cell's last
expression, as text and as HTML; printed text is not stored.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any


def load(file: Path) -> dict[str, Any]:
    """A notebook as JSON."""
    return dict(json.loads(file.read_text(encoding="utf-8")))


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """Its code cells."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run(notebook: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Run all code cells here; return the outputs of each."""
    names: dict[str, Any] = {"__name__": "__main__"}
    return [_outputs("".join(cell["source"]), names, number) for number, cell in enumerate(code_cells(notebook), 1)]


def _outputs(source: str, names: dict[str, Any], number: int) -> list[dict[str, Any]]:
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, f"<cell {number}>", "exec"), names)  # noqa: S102 - our own page
    if not isinstance(last, ast.Expr):
        return []
    value = eval(compile(ast.Expression(last.value), f"<cell {number}>", "eval"), names)  # noqa: S307
    if value is None:
        return []
    data = {"text/plain": _lines(repr(value))}
    if html := getattr(value, "_repr_html_", None):
        data["text/html"] = _lines(html())
    return [{"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"}]


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main(file: Path) -> None:
    """Run a notebook and write it with its outputs."""
    notebook = load(file)
    outputs = run(notebook)
    for number, (cell, found) in enumerate(zip(code_cells(notebook), outputs, strict=True), 1):
        cell["execution_count"], cell["outputs"] = number, found
    file.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
