"""Plugins on disk: their pyproject.toml, and which of two plugins of one name is meant."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from reidbench.check import suite
from reidbench.errors import PluginError
from reidbench.registry.packages import installed, make_plugin
from reidbench.registry.plugins import load

ENTRY = '[project.entry-points.reidbench]\none = "one"\n'


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str | bytes) -> Path:
        content = text.encode() if isinstance(text, str) else text
        (tmp_path / "pyproject.toml").write_bytes(content)
        (tmp_path / "one.py").write_text("")
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[project", "cannot be read as TOML: "),
        (b"\xff\xfe", "cannot be read as TOML: "),
        ("project = 3", "project must be a table, not 3"),
        ('[project.entry-points]\nreidbench = "s"', "reidbench must be a table, not 's'"),
        ("[project]", "no entry point in the group 'reidbench'"),
        (f'{ENTRY}other = "other"', "2 entry points in the group 'reidbench' .one, other.; install the project"),
    ],
)
def test_a_project_that_cannot_be_checked(text: str | bytes, words: str, project: Callable[..., Path]) -> None:
    with pytest.raises(PluginError, match=rf"pyproject.toml: {words}"), installed(project(text)):
        pass


@pytest.mark.parametrize(
    "readme", ['readme = {text = "My method."}', 'readme = "READ.md"', 'readme = {file = "READ.md"}']
)
def test_the_readme_is_that_of_the_project(readme: str, project: Callable[..., Path]) -> None:
    folder = project(f'[project]\nname = "mine"\n{readme}\n{ENTRY}')
    (folder / "READ.md").write_text("My method.")
    with installed(folder):
        assert "My method." in (metadata.distribution("mine").read_text("METADATA") or "")


def test_a_folder_is_checked_and_not_the_built_in_plugin_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "reidbench-pcb"
    folder.mkdir()
    (folder / "mine.py").write_text("raise RuntimeError('my own code is broken')")
    (folder / "pyproject.toml").write_text('[project]\nname = "reidbench-pcb"\n' + ENTRY.replace('"one"', '"mine"'))
    monkeypatch.chdir(tmp_path)
    for name in ("pcb", "reidbench-pcb", str(folder)):
        with pytest.raises(PluginError, match="my own code is broken"), suite._found(name):
            pass
    monkeypatch.chdir(folder.parent.parent)
    with suite._found("reidbench-pcb") as (_, plugin):
        assert plugin.name == "reidbench_pcb"


def test_a_module_that_another_plugin_is_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delenv("REIDBENCH_PLUGINS", raising=False)
    make_plugin(site, "reidbench_other", "", distribution="first")
    info = site / "second-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: second\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[reidbench]\ntwo = reidbench_other\n")
    broken = load().broken["second:two"]
    assert (
        "its module reidbench_other is that of plugin first:reidbench_other, found first; rename the package" in broken
    )
