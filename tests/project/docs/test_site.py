"""The site: navigation, links, and generated pages with everything that the code declares."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import typer
import yaml

from reidbench import testing
from reidbench.cli import main
from reidbench.hookspecs import HOOKS
from reidbench.registry import plugins
from reidbench.words import FIELDS, known_words

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reidbench_docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_navigation(entry: Any) -> list[str]:
    """The pages of an entry of `nav:`."""
    if isinstance(entry, str):
        return [entry]
    return [page for one in (entry.values() if isinstance(entry, dict) else entry) for page in in_navigation(one)]


def test_every_page_is_in_the_navigation(hooks: ModuleType) -> None:
    found = in_navigation(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(found) == sorted([*hooks.sources().values(), *hooks.generated()])


def test_links_lead_to_pages_and_to_copies_of_files(hooks: ModuleType) -> None:
    pages = hooks.sources()
    copied: set[str] = set()
    text = (
        "[a](docs/tutorial.md#install) [b](benchmarks/CLAIMS.md) ![c](benchmarks/leaderboard.png) [d](https://e.org) "
        "`[e](docs/tutorial.md)` [f](benchmarks/worlds) [g](absent.md) [h](docs/notebook.ipynb) [i](#here)"
    )
    assert hooks.relinked(text, "README.md", pages, copied) == (
        "[a](tutorial.md#install) [b](benchmarks/claims.md) ![c](files/benchmarks/leaderboard.png) [d](https://e.org) "
        "`[e](docs/tutorial.md)` [f](benchmarks/index.md) [g](absent.md) [h](notebook.md) [i](#here)"
    )
    assert copied == {"benchmarks/leaderboard.png"}
    text = "[a](../../README.md) [b](../../plugins/reidbench_hhl/README.md) [c](../tutorial.md)"
    assert hooks.relinked(text, "docs/how-to/python.md", pages, copied) == (
        "[a](../index.md) [b](../plugins/hhl.md) [c](../tutorial.md)"
    )


def test_the_reference_of_commands_has_every_command_and_option(hooks: ModuleType) -> None:
    text = hooks.commands()
    root: Any = typer.main.get_command(main.app)
    commands = dict(hooks.leaves(root, "reidbench"))
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert sorted(headings) == sorted(name.removeprefix("reidbench ") for name in commands)
    assert "data check" in headings
    for name, section in zip(headings, re.split(r"^## .*$", text, flags=re.MULTILINE)[1:], strict=True):
        for parameter in commands[f"reidbench {name}"].params:
            assert hooks.is_argument(parameter) or parameter.opts[0] in section, (name, parameter.opts)


def test_the_reference_of_components_has_every_component_and_parameter(
    hooks: ModuleType, registry: plugins.Registry
) -> None:
    pages = hooks.component_pages()
    index = pages["reference/components/index.md"]
    for (kind, name), component in registry.components.items():
        assert f"[{name}]({kind}.md#{hooks.slug(name)})" in index
        page = pages[f"reference/components/{kind}.md"]
        (section,) = re.findall(rf"^## {re.escape(name)} {{(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
        assert hooks.escaped(component.summary) in section
        for field in component.params.model_fields:
            assert f"| `{field}` |" in section, (kind, name, field)
        for preset in component.presets:
            assert f"- preset {preset} (" in section, (kind, name, preset)
        for number in component.paper.published if component.paper else ():
            assert number.row in section, (kind, name, number.row)


def test_the_table_of_words_is_whole(hooks: ModuleType) -> None:
    lines = hooks.words().splitlines()
    for kind in HOOKS:
        for field in FIELDS:
            words = [f"`{word}`" for word in sorted(known_words(field, kind))]
            assert (f"| {kind} | `{field}` | {', '.join(words)} |" in lines) == bool(words)
    assert "<!-- words -->" in (ROOT / "docs" / "reference" / "hooks.md").read_text()


def test_blocks_that_name_a_file_have_its_code(hooks: ModuleType) -> None:
    name = "tests/example_plugin/reidbench_example/method.py"
    page = SimpleNamespace(file=SimpleNamespace(src_uri="how-to/write-a-plugin.md"))
    found = hooks.on_page_markdown(f"a\n\n```python\n# {name}\n```\nb", page)
    assert found == f"a\n\n```python\n{(ROOT / name).read_text()}```\nb"


def test_functions_for_tests_are_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference" / "python.md").read_text()
    (members,) = re.findall(r"::: reidbench.testing\n    options:\n      members: \[(.*)\]", text)
    assert sorted(members.split(", ")) == sorted(testing.__all__)


def test_the_notebook_is_a_page(hooks: ModuleType) -> None:
    text = hooks.notebook(ROOT / "docs" / "notebook.ipynb")
    assert text.startswith("# A leaderboard in a notebook\n")
    assert "```python\nimport tempfile\n" in text
    assert "```text\n" in text


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    for package in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(package)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {
        "NO_MKDOCS_2_WARNING": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins"), *sys.path]),
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "reference" / "components" / "adapter.html").is_file()
    for page in (tmp_path / "site").rglob("*.html"):  # a reader's browser asks no other host
        assert not re.search(r"<(?:script|img|link)[^>]+(?:src|href)=\"https?:", page.read_text()), page
