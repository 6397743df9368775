"""A plugin written for reidbench 0.1 is not loaded, and one sentence says what to change, file and line first."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from reidbench.registry import migration, plugins
from reidbench.testing import make_plugin

BACKBONE = """
from reidbench import Component, hookimpl

@hookimpl
def reidbench_backbones():
    yield Component("old", "old_one:f", {field})
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path whose entry points are looked at, and whose modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("REIDBENCH_PLUGINS")
    yield tmp_path
    for name in ("old_one", "packed", "tolerant"):
        sys.modules.pop(name, None)


def reason(site: Path, source: str) -> str:
    make_plugin(site, "old_one", textwrap.dedent(source))
    (text,) = plugins.load().broken.values()
    return text


@pytest.mark.parametrize(
    ("field", "cure"),
    [
        ("provides={'stages'}", "old_one.py:6: provides= is now capabilities= (backbones, data sets), protocol="),
        ("uses={'truth'}", "old_one.py:6: uses= is now protocol="),
        ("**{'provides': {'stages'}}", "provides= is now capabilities="),
        ("**{'uses': {'truth'}}", "uses= is now protocol="),
    ],
)
def test_fields_of_0_1_are_named_with_their_new_names(site: Path, field: str, cure: str) -> None:
    text = reason(site, BACKBONE.format(field=field))
    assert cure in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("line", "cure"),
    [
        (
            "from reidbench.components import FinetuneContext",
            "import FinetuneContext from reidbench, not Finetune",
        ),
        ("from reidbench.components import (\n    Component,\n    Features,\n)", "old_one.py:2: import Embedded from"),
        ("from reidbench.components import USES", "reidbench.components has no USES; see CONTRIBUTING.md"),
        ("from reidbench.supervision import behind", "old_one.py:2: import reidbench.words, not reidbench.supervision"),
        ("from reidbench.store import Store", "import Store from reidbench.store.artifacts, not from reidbench.store"),
        ("import reidbench.data.numbers", "import reidbench.files.numbers, not reidbench.data.numbers"),
        ("from reidbench.ranks import launch", "there is no module reidbench.ranks; see CONTRIBUTING.md"),
        ("def f():\n    from reidbench.supervision import behind", "old_one.py:3: import reidbench.words"),
    ],
)
def test_modules_and_names_of_0_1_are_named_with_their_new_places(site: Path, line: str, cure: str) -> None:
    assert cure in reason(site, f"\n{line}\n")


def test_files_that_only_a_stage_imports_are_read_too(site: Path) -> None:
    (site / "packed").mkdir()
    (site / "packed" / "__init__.py").write_text(BACKBONE.format(field="summary='x'"))
    (site / "packed" / "method.py").write_text("import torch\nfrom reidbench.components import AdaptContext\n")
    make_plugin(site, "packed", "")
    (site / "packed.py").unlink()
    (line,) = plugins.load().complaints()
    assert "written for an older reidbench: packed/method.py:2: import AdaptContext from reidbench" in line
    (site / "packed" / "more.py").write_text("import reidbench.supervision\nimport reidbench.ranks\n")
    registry = plugins.load()
    (line,) = registry.complaints()
    assert "packed/method.py:2: import AdaptContext" in line
    assert "(and 2 more)" in line
    (text,) = registry.broken.values()
    assert "packed/more.py:1: import reidbench.words, not reidbench.supervision\n" in text
    assert "packed/more.py:2: there is no module reidbench.ranks" in text


@pytest.mark.parametrize(
    "guarded",
    [
        "try:\n    import reidbench.words as w\nexcept ImportError:\n    import reidbench.supervision as w\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from reidbench.components import AdaptContext\n",
        "from reidbench.training import stream, Batches\nfrom reidbench.store.artifacts import Store\n",
        "import another.supervision\nfrom .supervision import x\n",
    ],
)
def test_what_is_meant_for_several_versions_or_is_there_is_left_alone(site: Path, guarded: str) -> None:
    make_plugin(site, "tolerant", f"if False:\n    pass\ndef late():\n{textwrap.indent(guarded, '    ')}\n")
    assert plugins.load().broken == {}


def test_every_new_place_is_there_and_no_old_one_holds_its_names() -> None:
    for new in migration.MOVED.values():
        importlib.import_module(new)
    for cure in migration.RENAMED.values():
        assert hasattr(importlib.import_module("reidbench"), cure)
