"""`reidbench data make` renders the first data set that takes its parameters; `check` finds a root by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from typer.testing import CliRunner

from reidbench import Component, Dataset, Params
from reidbench.cli import data, main
from reidbench.data import Split
from reidbench.errors import ReidbenchError
from reidbench.registry import plugins


class TownParams(Params):
    """The parameters that the command gives."""

    world: Literal["harbour"] = "harbour"
    size: str = "small"
    seed: int = 0
    structure: bool = False


def town(params: TownParams, root: Path, cache: Path) -> Dataset:
    """One part, and a note of what was asked for."""
    return Dataset(
        "town", root, train=Split(root, ()), notes=(f"{params.world} {params.size} {params.seed} in {root.name}",)
    )


TOWN = Component("town", f"{__name__}:town", TownParams)


def make(monkeypatch: pytest.MonkeyPatch, world: str, *components: Component) -> str:
    registry = plugins.Registry(components={("dataset", one.name): one for one in components})
    monkeypatch.setattr(plugins, "load", lambda: registry)
    monkeypatch.setattr(TOWN.__class__, "load", lambda self: town)
    done = CliRunner().invoke(data.app, ["make", world, "-o", "folder", "--size", "full", "--seed", "7"])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_another_plugin_may_render(monkeypatch: pytest.MonkeyPatch, registry: plugins.Registry) -> None:
    others = [component for (kind, _), component in registry.components.items() if kind == "dataset"]
    for components in ([TOWN], [*others, TOWN], [TOWN, *others]):
        said = make(monkeypatch, "harbour", *components)
        assert "train: 0 images, 0 identities, 0 cameras" in said
        assert "note: harbour full 7 in folder" in said


def test_nothing_that_renders_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReidbenchError, match="data set with the parameters world, size, seed, structure"):
        make(monkeypatch, "harbour", Component("other", "x:y", Params))


def test_a_world_that_nobody_renders_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReidbenchError, match="world: input should be 'harbour', not 'moon'"):
        make(monkeypatch, "moon", TOWN)


def test_a_root_may_be_named_by_a_variable(market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKET", str(market))
    done = CliRunner().invoke(main.app, ["data", "check", "market-folder", "${MARKET}"])
    assert done.exit_code == 0, done.output
    assert f" in {market}\n" in done.output
    monkeypatch.delenv("MARKET")
    missing = CliRunner().invoke(main.app, ["data", "check", "market-folder", "${MARKET}"]).exception
    assert str(missing) == "'${MARKET}': the environment variable MARKET is not set; export MARKET=FOLDER"
