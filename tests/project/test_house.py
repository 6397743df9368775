"""The page on the architecture and the docstrings of folders name files and code that exist."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
LINKS = re.findall(r"\[([^]]+)\]\(([^)]+)\)", PAGE.read_text())
FOLDERS = sorted(
    {file.parent for place in ("reidbench", "plugins") for file in (ROOT / place).rglob("*.py")}
    - set((ROOT / "plugins").iterdir())
)


def defined(file: Path) -> set[str]:
    """Functions and classes of a file, and methods as `Class.method`."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    top = [node for node in ast.parse(file.read_text()).body if isinstance(node, kinds)]
    inner = {f"{node.name}.{one.name}" for node in top for one in node.body if isinstance(one, kinds)}
    return {node.name for node in top} | inner


@pytest.mark.parametrize(("words", "path"), LINKS, ids=lambda text: text)
def test_links_lead_to_a_file_that_defines_what_they_say(words: str, path: str) -> None:
    file = PAGE.parent / path
    assert file.is_file()
    if words.startswith("`"):
        assert words.strip("`") in defined(file)
    else:
        assert Path(path.removesuffix("/__init__.py")).name == Path(words).name


def test_the_layers_are_those_of_the_contract() -> None:
    (block,) = re.findall(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one.get("containers") == ["reidbench"])
    assert [re.split(", ", part) for part in " ".join(block.split()).split(" > ")] == [
        re.split(r" [:|] ", layer) for layer in layers
    ]


def test_no_folder_is_too_full_to_be_read() -> None:
    """At most ten modules at the top, and fifteen items in a folder."""
    core = [folder for folder in FOLDERS if folder.is_relative_to(ROOT / "reidbench")]
    assert len(list((ROOT / "reidbench").glob("*.py"))) <= 10
    counts = {
        folder.relative_to(ROOT): len(list(folder.glob("*.py"))) + sum(other.parent == folder for other in core)
        for folder in core[1:]
    }
    assert {folder: count for folder, count in counts.items() if count > 15} == {}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_folder_says_what_it_is_for_what_it_imports_and_where_to_begin(folder: Path) -> None:
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    assert said.partition("\n\n")[0].endswith((".", ":")), "what the folder is for"
    assert re.search(r"\b(?:[Ii]mports|imported) ", said)
    begin = re.split(r"\b(?:Begin|Start) with ", said)[-1].partition(".\n")[0]
    named = re.findall(r"`([^`]+)`", begin)
    assert named, "where to begin reading"
    assert [name for name in named if not (folder / name).exists()] == []
