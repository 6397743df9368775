"""Links of documents exist, commands exist with their options, and tables fit their matrix files."""

from __future__ import annotations

import ast
import itertools
import os
import pkgutil
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from reidbench.cli import main
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry import plugins

ROOT = Path(__file__).parents[2]
GROUPS = ROOT / "benchmarks" / "validity.yaml"  # of published methods: not a matrix
MATRICES = sorted(file for file in (ROOT / "benchmarks").rglob("*.yaml") if file != GROUPS)
GENERATED = ("docs/reference/components/", "docs/reference/commands.md")  # by docs/hooks.py
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("benchmarks/*.md"),
        *ROOT.glob("benchmarks/results/*.md"),
        *ROOT.glob("plugins/*/README.md"),
        *ROOT.glob("docs/**/*.md"),
    ],
    key=lambda path: path.as_posix(),
)


def test_every_plugin_has_a_readme_and_every_hook_is_documented() -> None:
    for folder in (ROOT / "plugins").iterdir():
        if (folder / "__init__.py").exists():
            assert (folder / "README.md").exists(), folder
    from reidbench import hookspecs

    for hook in hookspecs.EVERY_HOOK.values():
        assert "Target:" in (getattr(hookspecs, hook).__doc__ or "")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_code_blocks_and_links(document: Path) -> None:
    text = document.read_text()
    for language, block in re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL):
        if language == "python":
            ast.parse(block)
        if language == "yaml":
            assert yaml.safe_load(block)
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        goal = os.path.relpath(document.parent / link, ROOT)
        assert (ROOT / goal).exists() or goal.startswith(GENERATED), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_and_modules_that_are_named_exist(document: Path) -> None:
    for name in re.findall(r"`((?:plugins/)?reidbench\w*(?:[./]\w+)+/?)`", document.read_text()):
        if "/" in name:
            assert (ROOT / name).exists() or (ROOT / "plugins" / name).exists(), name
        else:
            pkgutil.resolve_name(name)


@pytest.mark.parametrize("file", MATRICES, ids=lambda path: path.name)
def test_shipped_matrices_are_valid(file: Path, registry: plugins.Registry) -> None:
    # The user provides the data and weights named in the papers' files.
    assert reader.read(file, registry, must_exist=file.parent.name != "papers").methods


COMMAND_LINE = re.compile(r"^(?:\.venv/bin/)?reidbench +(.*?)(?: +#.*)?$", re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_in_shell_blocks_exist_with_their_options(document: Path) -> None:
    root: Any = typer.main.get_command(main.app)
    for block in re.findall(r"```sh\n(.*?)```", document.read_text(), re.DOTALL):
        for line in COMMAND_LINE.findall(block):
            words = shlex.split(line)
            command = root
            while hasattr(command, "commands"):
                assert words, line
                assert words[0] in command.commands, f"reidbench {line}: no command {words[0]}"
                command = command.commands[words.pop(0)]
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            given = {word.partition("=")[0] for word in words if re.match(r"-{1,2}[a-z]", word)}
            assert given <= known, f"reidbench {line}: no option {given - known}"


def results(text: str) -> dict[str, list[list[str]]]:
    """First table under each heading `### NAME.yaml`: its rows as cells, the header first."""
    found = {}
    for name, section in re.findall(r"^### (\S+\.yaml)\n(.*?)(?=^###? |\Z)", text, re.DOTALL | re.MULTILINE):
        lines = itertools.dropwhile(lambda line: not line.startswith("|"), section.splitlines())
        rows = itertools.takewhile(lambda line: line.startswith("|"), lines)
        found[name] = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return found


TABLES = results((ROOT / "benchmarks" / "README.md").read_text())
SEVERAL = {"beyond.yaml"}  # whose tasks have separate evaluators: a table for each task


@pytest.mark.parametrize("name", SEVERAL)
def test_tables_of_tasks_with_evaluators_of_their_own_fit_their_matrix(name: str, registry: plugins.Registry) -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text()
    (section,) = re.findall(rf"^### {name}\n(.*?)(?=^###? |\Z)", text, re.DOTALL | re.MULTILINE)
    shown: list[tuple[str, ...]] = []
    for lines in re.findall(r"^\|.*(?:\n\|.*)*", section, re.MULTILINE):
        (method, evaluator, task, protocol), _, *rows = (
            [cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines()
        )
        assert (method, evaluator, protocol) == ("method", "evaluator", "protocol")
        shown += [(task, row[0], row[1], row[3], "not applicable" if row[2][0] == "n" else "") for row in rows]
    planned = plan.expand(reader.read(ROOT / "benchmarks" / name, registry)).rows
    expected = {
        (row.task, row.method, row.evaluator, row.protocol, "not applicable" if row.reason else ""): None
        for row in planned
    }
    assert sorted(shown) == sorted(expected)


@pytest.mark.parametrize("name", [name for name in TABLES if name not in SEVERAL])
def test_result_tables_have_the_rows_and_columns_of_their_matrix(name: str, registry: plugins.Registry) -> None:
    """A table that was typed by hand or is outdated does not match its file."""
    benchmark = reader.read(ROOT / "benchmarks" / name, registry)
    header, _, *rows = TABLES[name]
    assert header == ["method", *(task.name for task in benchmark.tasks), "protocol"]
    assert [row[0] for row in rows] == [recipe.name for recipe in benchmark.methods]
    protocols: dict[str, list[str]] = {}
    planned = plan.expand(benchmark).rows
    for row in planned:
        if row.evaluator == benchmark.evaluate[0].component.name:  # of several evaluators, the table shows the first
            protocols.setdefault(row.method, []).append(row.protocol)
    assert [row[-1] for row in rows] == [" / ".join(dict.fromkeys(protocols[row[0]])) for row in rows]
    spread = r" ± \d+\.\d \[-?\d+\.\d, \d+\.\d\]" if len(benchmark.seeds) > 1 else ""
    cell = re.compile(rf"(\*\*)?\d+\.\d(\*\*)?{spread}")
    once = re.compile(r"(\*\*)?\d+\.\d(\*\*)? \(no seed\)")
    seedless = {row.method for row in planned if row.seed is None}  # older tables print equal runs
    assert all(
        cell.fullmatch(text) or (row[0] in seedless and once.fullmatch(text)) for row in rows for text in row[1:-1]
    )


def test_every_matrix_is_in_the_list_of_matrices() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text()
    listed = re.findall(r"^\| `(\S+\.yaml)` ", text, re.MULTILINE)
    listed.remove("worlds/claims/*.yaml")  # these and the papers' are listed on separate pages
    files = [file for file in MATRICES if file.parent.name not in ("papers", "claims")]
    assert sorted(listed) == sorted(file.relative_to(ROOT / "benchmarks").as_posix() for file in files)
    unrun = re.findall(r"^\| `(\S+\.yaml)` .*not run in full yet", text, re.MULTILINE)
    searches = [file.relative_to(ROOT / "benchmarks").as_posix() for file in files if "search:" in file.read_text()]
    searches = [name for name in searches if name not in unrun]
    page = (ROOT / "benchmarks" / "validity.md").read_text()
    packs = [Path(name).stem for line in re.findall(r"<!-- validity: (.*) -->", page) for name in line.split()]
    orders = [name for name in listed if Path(name).stem in packs and name not in TABLES]
    # a table, an order on the page about validity, or a note that there is none
    assert sorted([*unrun, *TABLES, *searches, *orders]) == sorted(listed)
    texts = text + (ROOT / "plugins" / "reidbench_arn" / "README.md").read_text()
    assert [name for name in searches if f"`reidbench trials benchmarks/{name}`" not in texts] == []  # what they chose


def test_documents_use_every_command_and_each_has_help() -> None:
    root: Any = typer.main.get_command(main.app)
    text = "".join(document.read_text() for document in DOCUMENTS if document.name != "CHANGELOG.md")
    assert {name for name in root.commands if f"reidbench {name}" not in text} == set()
    for command in root.commands.values():
        assert command.help, command.name
        for parameter in command.params:
            assert parameter.param_type_name == "argument" or getattr(parameter, "help", ""), (command.name, parameter)


def test_declared_params_are_documented(registry: plugins.Registry) -> None:
    for (kind, name), component in registry.components.items():
        for field, info in component.params.model_fields.items():
            assert info.description, f"{kind} {name}: {field}"
