"""The loader survives every kind of broken plugin and says in one line what was not loaded."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from reidbench.cli.plugin import list_plugins
from reidbench.components import Component, Params
from reidbench.errors import PluginError, UnknownComponent
from reidbench.registry import plugins
from reidbench.testing import make_plugin

GOOD = """
from reidbench import Component, hookimpl

@hookimpl
def reidbench_finetuners():
    yield Component("{name}", "{module}:run")
"""

BROKEN = {
    "missing_module": "import a_module_that_is_not_there\n",
    "misspelt_hook": GOOD.replace("reidbench_finetuners", "reidbench_finetunerz"),
    "other_name": GOOD.replace("@hookimpl", "@hookimpl(specname='reidbench_adapter')"),
    "unmarked": GOOD.replace("@hookimpl\n", ""),
    "wrong_argument": GOOD.replace("reidbench_finetuners()", "reidbench_finetuners(registry)"),
    "half_way": GOOD + "    raise RuntimeError('half-way')\n",
    "exits": "import sys\nsys.exit('go away')\n",
    "clash": GOOD.replace("{name}", "bot"),
    "no_component": GOOD.replace('Component("{name}", "{module}:run")', '"a string"'),
    "not_iterable": GOOD.replace('yield Component("{name}", "{module}:run")', "return 3"),
    "bad_name": GOOD.replace("{name}", "Not Kebab"),
    "bad_target": GOOD.replace("{module}:run", "{module}.run"),
    "syntax": "def (:\n",
}


def source(text: str, name: str) -> str:
    return text.replace("{name}", name.replace("_", "-")).replace("{module}", name)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path whose entry points are looked at."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv("REIDBENCH_PLUGINS")
    return folder


def test_all_broken_plugins_at_once_cost_no_other_plugin_anything(site: Path) -> None:
    make_plugin(site, "fine", source(GOOD, "fine"))
    for name, text in BROKEN.items():
        make_plugin(site, name, source(text, name))
    registry = plugins.load()
    assert registry.source["finetuner", "fine"] == "reidbench-fine:fine"
    assert registry.source["finetuner", "bot"] == "reidbench_baseline"
    assert {name.rpartition(":")[2] for name in registry.broken} == set(BROKEN)
    assert all("\n" not in line for line in registry.complaints())
    reasons = {name.rpartition(":")[2]: plugins.one_line(trace) for name, trace in registry.broken.items()}
    assert "a_module_that_is_not_there" in reasons["missing_module"]
    assert (
        "unknown hook 'reidbench_finetunerz'; did you mean 'reidbench_finetuners'? (known: " in reasons["misspelt_hook"]
    )
    assert "did you mean 'reidbench_adapters'?" in reasons["other_name"]
    assert "reidbench_finetuners is never called: put @hookimpl" in reasons["unmarked"]
    assert "registry" in reasons["wrong_argument"]
    assert "half-way" in reasons["half_way"]
    assert "go away" in reasons["exits"]
    assert "offered by reidbench_baseline and by reidbench-clash:clash" in reasons["clash"]
    assert "must return Component" in reasons["no_component"]
    assert "iterable" in reasons["not_iterable"]
    assert "Not Kebab" in reasons["bad_name"]
    assert "module:attribute" in reasons["bad_target"]


def test_a_broken_plugin_leaves_none_of_its_components(site: Path) -> None:
    make_plugin(site, "half_way", source(BROKEN["half_way"], "half_way"))
    assert ("finetuner", "half-way") not in plugins.load().components


def test_half_removed_distribution_is_reported_not_fatal(site: Path) -> None:
    make_plugin(site, "gone", source(GOOD, "gone"))
    info = next(site.glob("*.dist-info"))
    (info / "METADATA").unlink()
    (site / "gone.py").unlink()
    shutil.rmtree(site / "__pycache__", ignore_errors=True)
    registry = plugins.load()
    (name,) = registry.broken
    assert name.endswith(":gone")
    assert "No module named 'gone'" in plugins.one_line(registry.broken[name])


def test_two_distributions_with_one_entry_name_are_both_seen(site: Path) -> None:
    make_plugin(site, "first", source(GOOD, "first"), distribution="reidbench-first")
    make_plugin(site, "second", source(GOOD, "second"), distribution="reidbench-second")
    for info in site.glob("*.dist-info"):
        entry = info / "entry_points.txt"
        module = entry.read_text().split("= ")[1]
        entry.write_text(f"[reidbench]\nsame = {module}")
    registry = plugins.load()
    assert {"reidbench-first:same", "reidbench-second:same"} <= set(registry.plugins)


def test_strict_makes_a_broken_plugin_an_error(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_plugin(site, "exits", BROKEN["exits"])
    monkeypatch.setenv("REIDBENCH_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match="go away"):
        plugins.load()


def test_disabling_by_name_by_distribution_and_by_environment(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_plugin(site, "fine", source(GOOD, "fine"))
    assert ("finetuner", "fine") in plugins.load().components
    for name in ("reidbench-fine:fine", "reidbench-fine"):
        assert ("finetuner", "fine") not in plugins.load(frozenset({name})).components
    assert ("finetuner", "bot") not in plugins.load(frozenset({"reidbench_baseline"})).components
    monkeypatch.setenv("REIDBENCH_PLUGINS", "another")
    assert ("finetuner", "fine") not in plugins.load().components
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-fine")
    assert ("finetuner", "fine") in plugins.load().components


def test_unknown_name_is_guessed_and_names_what_was_not_loaded(site: Path) -> None:
    make_plugin(site, "exits", BROKEN["exits"])
    with pytest.raises(UnknownComponent) as caught:
        plugins.load().get("finetuner", "bott")
    text = str(caught.value)
    assert "did you mean 'bot'?" in text
    assert "colour-histogram" in text
    assert "reidbench-exits:exits" in text


def test_a_name_of_another_kind_is_told(registry: plugins.Registry) -> None:
    with pytest.raises(UnknownComponent, match="it is of kind evaluator"):
        registry.get("adapter", "cosine")


def test_a_broken_builtin_is_our_bug(site: Path) -> None:
    (site / "our_bug.py").write_text("raise RuntimeError('ours')\n")
    with pytest.raises(PluginError, match="ours"):
        plugins.load(builtin=("our_bug",))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"params": dict}, "subclass"),
        ({"version": 0}, "version"),
        ({"protocol": frozenset({"luck"})}, "protocol"),
        ({"name": "a_b"}, "words of a-z"),
    ],
)
def test_components_are_checked(change: dict[str, object], words: str) -> None:
    fields: dict[str, object] = {"name": "fine", "target": "module:attribute", "params": Params, **change}
    registry = plugins.Registry()
    with pytest.raises(PluginError, match=words):
        registry.add("a-plugin", [("finetuner", Component(**fields))])  # type: ignore[arg-type]
    assert not registry.components


def test_terminal_escapes_of_a_plugin_are_made_visible() -> None:
    assert plugins.one_line("Error: \x1b[31mred\x07") == "Error: \\x1b[31mred\\x07"


def test_every_builtin_target_can_be_imported(registry: plugins.Registry) -> None:
    installed = [one for one in registry.components.values() if all(map(importlib.util.find_spec, one.packages))]
    assert len(installed) > 100
    for component in installed:
        assert callable(component.load()), component.name


def test_a_component_says_which_of_its_packages_is_missing_and_how_to_get_it(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packages = '"json", "no_such_package"'
    text = GOOD.replace('")', f'", packages=({packages}), extra="hf")')
    make_plugin(site, "lacking", source(text, "lacking"))
    make_plugin(site, "fine", source(GOOD, "fine"))
    sentence = "not installed: no_such_package (pip install 'reidbench[hf]')"
    offered = {one["name"]: one["components"] for one in plugins.report(plugins.load())["plugins"]}
    assert [one["missing"] for one in offered["reidbench-lacking:lacking"]] == [sentence]
    assert [one["missing"] for one in offered["reidbench-fine:fine"]] == [""]
    list_plugins()
    lines = capsys.readouterr().out.splitlines()
    assert lines[lines.index(next(line for line in lines if " lacking " in line)) + 1].strip() == sentence
