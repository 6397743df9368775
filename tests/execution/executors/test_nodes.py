"""Comparison of nodes: versions, sources, folders, the driver's variables."""

from __future__ import annotations

import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import pytest

from reidbench.errors import ReidbenchError
from reidbench.execution.executors import nodes


def test_facts_name_versions_and_the_code_of_each_plugin(site: Path) -> None:
    found = nodes.facts(frozenset())
    assert found["python"] == platform.python_version()
    assert found["torch"] == metadata.version("torch")
    assert found["reidbench"].startswith(metadata.version("reidbench") + " (code ")
    assert found["plugin reidbench_baseline"].startswith("built in (code ")
    assert found["plugin reidbench-toy-plugin:toy_plugin"].startswith("1.0 (code ")
    assert "plugin reidbench-toy-plugin:toy_plugin" not in nodes.facts(frozenset({"reidbench-toy-plugin"}))


def test_a_plugin_that_breaks_is_reported_with_its_reason(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "toy_plugin.py").write_text("raise OSError('no such thing')")
    assert nodes.facts(frozenset())["plugin reidbench-toy-plugin:toy_plugin"] == "not loaded: OSError: no such thing"


def test_differences_are_named() -> None:
    here = {"torch": "2.13.0", "plugin a": "1.0 (code 12)", "plugin b": "1.0"}
    assert nodes.differences(here, dict(here)) == []
    assert nodes.differences(here, {"torch": "2.12.0", "plugin a": "1.0 (code 34)", "plugin c\x1b": "1"}) == [
        "plugin a is 1.0 (code 34) instead of 1.0 (code 12)",
        "it has no plugin b",
        "it also has plugin c\\x1b",
        "torch is 2.12.0 instead of 2.13.0",
    ]


@pytest.mark.slow
def test_folders_must_be_seen_and_written(tmp_path: Path) -> None:
    store, cache = tmp_path / "store", tmp_path / "new" / "cache"
    expected = nodes.expect(frozenset(), {"the store": store, "the cache": cache})
    assert nodes.problems(expected, "n1") == []
    (mark,) = cache.iterdir()
    mark.unlink()  # as on a node where another folder has that path
    (problem,) = nodes.problems(expected, "n1")
    assert problem == f"it does not see the cache {cache}, which must be on a path that all nodes share"
    nodes.forget(expected)
    assert not any(store.iterdir())


def test_jobs_of_one_node_may_check_a_folder_at_once(tmp_path: Path) -> None:
    expected = nodes.expect(frozenset(), {"the store": tmp_path})
    with ThreadPoolExecutor(8) as jobs:
        found = jobs.map(lambda _: nodes._sight(tmp_path, "the store", expected.marker, "n1"), range(2000))
        assert set(found) == {""}
    nodes.forget(expected)
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs a folder that takes no files, even from root")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    assert nodes._sight(Path("/proc/self"), "the store", "status", "n1").startswith(
        "it cannot write into the store /proc/self: "
    )
    (tmp_path / "file").touch()
    with pytest.raises(ReidbenchError, match="file/store: the store cannot be written: Not a directory"):
        nodes.expect(frozenset(), {"the store": tmp_path / "file" / "store"})


def test_a_node_takes_the_driver_s_variables_and_import_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, own = (str(tmp_path / name) for name in ("theirs", "own"))
    Path(theirs).mkdir()
    monkeypatch.setenv("REIDBENCH_STALE", "1")
    monkeypatch.setattr(sys, "path", [own, theirs])
    monkeypatch.setenv("REIDBENCH_PLUGINS", "mine")
    paths = (theirs, str(tmp_path / "not here"))
    nodes.adopt(nodes.Expected({}, frozenset(), {}, "", paths, {"REIDBENCH_PLUGINS": "a,b"}))
    assert sys.path == [theirs, own]
    assert os.environ["REIDBENCH_PLUGINS"] == "a,b"
    assert "REIDBENCH_STALE" not in os.environ


@pytest.mark.slow
def test_a_node_is_asked_what_its_workers_would_load(site: Path) -> None:
    expected = nodes.expect(frozenset(), {})
    assert nodes.problems(expected, "n1") == []
    module = site / "toy_plugin.py"
    module.write_text(module.read_text() + "# changed\n")  # this process has the old one loaded
    (problem,) = nodes.problems(expected, "n1")
    assert problem.startswith("plugin reidbench-toy-plugin:toy_plugin is 1.0 (code ")
    assert problem.endswith(f" instead of {expected.facts['plugin reidbench-toy-plugin:toy_plugin']}")


def test_a_node_that_cannot_answer_says_why(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.parent)  # where Python looks first
    expected = nodes.expect(frozenset(), {})
    (site / "reidbench").mkdir()
    (site / "reidbench" / "__init__.py").write_text("raise ImportError('built for another system')")
    assert nodes.problems(expected, "n1") == ["it cannot report its environment: ImportError: built for another system"]
