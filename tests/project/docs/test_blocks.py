"""YAML blocks of README and docs/ are matrix files or parts of one, and Python blocks are tested code."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from reidbench.matrix import plan
from reidbench.matrix.claims import USUAL_RULE
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.testing import installed

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MATRIX = ROOT / "docs" / "reference" / "matrix-file.md"
QUOTE = re.compile(r"```python\n# (tests/\S+\.py)\n```")  # docs/hooks.py puts the code there
ROWS = ("smooth", "plain", "pk", "random", "balanced", "both", "hard")  # that the claims name
BASE: dict[str, Any] = {
    "data": {
        **{
            name: {"use": "synthetic", "size": "tiny", "seed": seed}
            for seed, name in enumerate(("plaza", "station", "mine", "ms", "c3", "cs"))
        },
        "market": {"use": "market1501", "root": "market"},
        "duke": {"use": "dukemtmc-reid", "root": "duke", "accept_withdrawal": True},
        "msmt": {"use": "msmt17-v1", "root": "msmt"},
        "sysu": {"use": "sysu-mm01", "root": "sysu"},
        "ltcc": {"use": "ltcc", "root": "ltcc"},
        "mars": {"use": "mars", "root": "mars"},
    },
    "tasks": {
        "market": {"source": "market", "target": "market"},
        "market->duke": {"source": "market", "target": "duke"},
        "duke->market": {"source": "duke", "target": "market"},
    },
    "backbone": "resnet-tiny",
    "methods": {row: {"finetune": "none"} for row in ROWS},
}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def whole(block: str) -> str:
    """A block behind what it needs to be a matrix file."""
    given = yaml.safe_load(block)
    more = {key: value for key, value in BASE.items() if key not in given}
    return (yaml.safe_dump(more, sort_keys=False) if more else "") + block


PARTS = [
    pytest.param(block, id=f"{page.relative_to(ROOT).as_posix()}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks(page, "yaml"))
]


def test_the_documents_have_yaml_blocks() -> None:
    assert len(PARTS) > 12


@pytest.fixture(scope="module")
def with_tutorial(tmp_path_factory: pytest.TempPathFactory) -> plugins.Registry:
    """The built-in plugins and that of the tutorial."""
    blocks_of_it = blocks(ROOT / "docs" / "tutorial.md", "python")
    folder = tmp_path_factory.mktemp("tutorial") / "mean_colour"
    folder.mkdir()
    for name, block in zip(("__init__.py", "method.py"), blocks_of_it, strict=True):
        (folder / name).write_text(block)
    with installed(folder):  # and no longer: other tests have the built-in plugins alone
        return plugins.load()


@pytest.mark.parametrize("block", PARTS)
def test_yaml_blocks_are_matrix_files(block: str, tmp_path: Path, with_tutorial: plugins.Registry) -> None:
    """Data sets and files that are named need not exist, as in a rehearsal."""
    file = tmp_path / "matrix.yaml"
    file.write_text(whole(block))
    assert reader.read(file, with_tutorial, must_exist=False).methods


def test_every_key_of_a_matrix_file_is_in_its_reference() -> None:
    text = MATRIX.read_text()
    top = text.split("## Top-level keys")[1].split("\n## ")[0]
    assert [key for key in reader.TOP if f"`{key}`" not in top] == []
    methods = text.split("\n## methods")[1].split("\n### ")[0]
    own = [key for key in reader.RECIPE if key not in (*reader.SEARCH_SETTINGS, "preset")]
    assert [key for key in own if f"`{key}`" not in methods] == []
    search = text.split("\n## Search")[1].split("\n## ")[0]
    assert [key for key in reader.SEARCH_SETTINGS if f"`{key}`" not in search] == []


def test_steps_may_have_a_network_and_images(tmp_path: Path, registry: plugins.Registry) -> None:
    (block,) = [one for one in blocks(MATRIX, "yaml") if "last_stride" in one]
    file = tmp_path / "matrix.yaml"
    file.write_text(whole(block))
    benchmark = reader.read(file, registry, must_exist=False)
    (recipe,) = benchmark.methods
    setups = [benchmark.setup(recipe).of(choice) for _, choice in recipe.steps]
    strides = [setup.backbone.resolved["last_stride"] for setup in setups]
    assert (strides, [setup.size for setup in setups]) == ([2, 1], [(256, 128), (384, 128)])


def test_comments_name_tasks_of_the_families(tmp_path: Path, registry: plugins.Registry) -> None:
    (block,) = [one for one in blocks(MATRIX, "yaml") if "leave-one-out" in one]
    file = tmp_path / "matrix.yaml"
    file.write_text(whole(block))
    tasks = [task.name for task in reader.read(file, registry, must_exist=False).tasks]
    comments = re.findall(r"# ((?:dg|ways|life): [^,\n]*)", block)  # the first task of three families
    assert len(comments) == 3
    assert {comment for comment in comments if comment not in tasks} == set()
    assert "life: plaza>station->plaza" in tasks


def test_the_claims_have_the_default_rule(tmp_path: Path, registry: plugins.Registry) -> None:
    (block,) = [one for one in blocks(MATRIX, "yaml") if one.startswith("claim_rule:")]
    file = tmp_path / "matrix.yaml"
    file.write_text(whole(block))
    benchmark = reader.read(file, registry, must_exist=False)
    assert benchmark.claim_rule == USUAL_RULE
    assert [claim.kind for claim in benchmark.claims] == ["better", "equal", "order"]
    assert [claim.effect for claim in benchmark.claims] == [2.1, 3, 3]
    assert benchmark.claims[1].on == ("market", "market->duke", "duke->market")


def test_features_from_a_file_are_a_row(tmp_path: Path, registry: plugins.Registry) -> None:
    page = ROOT / "docs" / "how-to" / "rows-from-elsewhere.md"
    (block,) = [one for one in blocks(page, "yaml") if "features:" in one]
    tasks = {"mine": {"source": "mine", "target": "mine"}, "plaza": {"source": "mine", "target": "plaza"}}
    (tmp_path / "runs").mkdir()
    for task in tasks:
        for seed in (0, 1):
            (tmp_path / "runs" / f"{task}-{seed}.npz").write_bytes(b"x")
    file = tmp_path / "matrix.yaml"
    more = {"tasks": tasks, "seeds": [0, 1], "image_size": [64, 32]}
    file.write_text(yaml.safe_dump(BASE | yaml.safe_load(block) | more))
    rows = plan.expand(reader.read(file, registry, must_exist=False)).rows
    assert {row.seed for row in rows if row.method == "theirs"} == {0, 1}
    (words,) = {row.protocol for row in rows if row.method == "theirs"}
    assert words.startswith("declared: source labels, declared: ImageNet labels, declared: tested at 256x128")


@pytest.mark.parametrize("page", ["docs/how-to/rows-from-elsewhere.md", "plugins/reidbench_command/README.md"])
def test_rows_of_programs_are_valid(page: str, tmp_path: Path, registry: plugins.Registry, market: Path) -> None:
    (methods,) = [yaml.safe_load(block) for block in blocks(ROOT / page, "yaml") if "use: command" in block]
    (tmp_path / "weights").mkdir()
    for name in ("extract.py", "train.py", "adapt.py", "old-environment.txt"):
        (tmp_path / name).touch()
    data = {"m": {"use": "market-folder", "root": str(market)}}
    given = {"data": data, "tasks": {"m": {"source": "m", "target": "m"}}, "backbone": "resnet-tiny", **methods}
    (tmp_path / "matrix.yaml").write_text(yaml.safe_dump(given))
    benchmark = reader.read(tmp_path / "matrix.yaml", registry)
    assert len(plan.expand(benchmark).rows) == len(methods["methods"])


def test_the_plugin_of_the_tutorial_is_the_one_that_is_tested() -> None:
    text = (ROOT / "docs" / "tutorial.md").read_text()
    found = re.findall(r"```(?:python|toml)\n# (?:mean_colour/|pyproject).*?\n(.*?)```", text, re.DOTALL)
    tested = (ROOT / "tests" / "project" / "test_packaging.py").read_text()
    assert len(found) == 3
    for block in found:
        for line in filter(str.strip, block.splitlines()):
            assert line.rstrip() in tested, line


def test_python_blocks_are_python() -> None:
    for page in PAGES:
        for block in blocks(page, "python"):
            ast.parse(block)


def test_the_page_on_plugins_quotes_the_whole_example() -> None:
    quoted = QUOTE.findall((ROOT / "docs" / "how-to" / "write-a-plugin.md").read_text())
    example = ROOT / "tests" / "example_plugin"
    code = {path.relative_to(ROOT).as_posix() for path in example.rglob("*.py") if "__pycache__" not in path.parts}
    assert len(quoted) == len(set(quoted))
    assert set(quoted) == code
