"""Executors by name, from all plugins."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reidbench.errors import ReidbenchError
from reidbench.execution import executors
from reidbench.execution.executor import Settings
from reidbench.registry import plugins
from reidbench.testing import make_plugin

PLUGIN = """
from pydantic import Field
from reidbench import Component, Params, hookimpl


class Options(Params):
    address: str = Field("", description="place")


class Far:
    slots = 3
    winds_down = False

    def __init__(self, options, settings):
        self.given = options.address, settings


@hookimpl
def reidbench_executors():
    yield Component("far", "far_plugin:Far", Options, summary="far away", packages=PACKAGES, extra="far")
"""


def test_the_built_in_ones(registry: plugins.Registry) -> None:
    assert {"inline", "process", "ray"} <= set(registry.names("executor"))
    assert isinstance(executors.make("inline", registry=registry), executors.Inline)
    made = executors.make("process", 3, time_limit=2.0, registry=registry)
    assert isinstance(made, executors.Processes)
    assert (made.slots, made.limits.seconds) == (3, 2.0)


def install(folder: Path, packages: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_plugin(folder, "far_plugin", PLUGIN.replace("PACKAGES", packages))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "far_plugin", raising=False)
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-far-plugin")


def test_one_of_a_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "()", monkeypatch)
    made = executors.make("far", 2, memory_limit=1.5, options={"address": "a"})
    assert made.given == ("a", Settings(2, None, 1.5))  # type: ignore[attr-defined]
    assert executors.make("far", address="b").given == ("b", Settings())  # type: ignore[attr-defined]
    with pytest.raises(ReidbenchError, match=r"unknown executor 'far' \(known: .*process"):
        executors.make("far", registry=plugins.load(frozenset({"reidbench-far-plugin"})))


def test_packages_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "('no_such_package',)", monkeypatch)
    reason = r"--executor far needs packages that are not installed: no_such_package \(pip install 'reidbench\[far\]'\)"
    with pytest.raises(ReidbenchError, match=reason):
        executors.make("far")


def test_limits_need_a_process(registry: plugins.Registry) -> None:
    with pytest.raises(ReidbenchError, match="limits of a stage need a separate process"):
        executors.make("inline", memory_limit=1.0, registry=registry)
