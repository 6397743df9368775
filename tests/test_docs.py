"""The documents say what is there: tables are generated, commands exist, links lead somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

from reidbench import config, plugins
from reidbench.report.formats import table

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("plugins/*/README.md")],
    key=lambda path: path.as_posix(),
)


def between(text: str, mark: str) -> str:
    return text.split(f"<!-- {mark} -->\n")[1].split(f"\n<!-- /{mark} -->")[0]


def test_component_table_is_what_the_plugins_declare(registry: plugins.Registry) -> None:
    rows = [[kind, name, component.summary] for (kind, name), component in registry.components.items()]
    order = {kind: number for number, kind in enumerate(plugins.HOOKS)}
    rows.sort(key=lambda row: order[row[0]])
    assert between((ROOT / "README.md").read_text(), "components") == table(["kind", "name", "what it is"], rows)


def test_every_plugin_has_a_readme_and_every_hook_is_documented() -> None:
    for folder in (ROOT / "plugins").iterdir():
        if (folder / "__init__.py").exists():
            assert (folder / "README.md").exists(), folder
    from reidbench import hookspecs

    for hook in hookspecs.HOOKS.values():
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
        assert (document.parent / link).exists(), link


def test_the_matrix_of_the_readme_is_valid(tmp_path: Path, registry: plugins.Registry, market: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    file = tmp_path / "matrix.yaml"
    file.write_text(block.replace("~/data/Market-1501", str(market)))
    assert len(config.read(file, registry).methods) == 2


def test_the_plugin_of_the_readme_is_the_one_that_is_tested() -> None:
    blocks = re.findall(r"```python\n# mean_colour/.*?\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    tested = (ROOT / "tests" / "test_packaging.py").read_text()
    for block in blocks:
        for line in filter(str.strip, block.splitlines()):
            assert line.rstrip() in tested, line


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_matrices_are_valid(file: Path, registry: plugins.Registry) -> None:
    assert config.read(file, registry).methods
