"""Fixtures shared by most tests."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reidbench.registry import plugins
from reidbench.testing import make_plugin, write_market_folder

TOY = Path(__file__).parent / "support" / "toy_plugin.py"
PAPERS = Path(__file__).parent / "support" / "paper_plugin.py"

if "PYTEST_XDIST_WORKER" in os.environ:  # several test processes share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["REIDBENCH_PLUGINS"] = ""  # a developer's own plugins must not affect the tests


@pytest.fixture(autouse=True, scope="session")
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set the cache for module and session fixtures, which run before `private_places`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REIDBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def private_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests from reading or writing the user's cache or store."""
    monkeypatch.setenv("REIDBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("REIDBENCH_STORE", raising=False)


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Market-1501-style folder of 4 + 4 identities, 2 cameras, 2 images. Read only."""
    return write_market_folder(tmp_path_factory.mktemp("market") / "tiny")


@pytest.fixture(scope="session")
def registry() -> plugins.Registry:
    """The built-in plugins."""
    return plugins.load()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the toy plugin, installed for this process and its children."""
    folder = tmp_path / "site"
    make_plugin(folder, "toy_plugin", TOY.read_text())
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "toy_plugin", raising=False)
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-toy-plugin")
    return folder


@pytest.fixture(scope="module")
def papers(registry: plugins.Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a plugin of published numbers, installed for a module's tests and their children.

    Depends on `registry` so that the built-in plugins are loaded first.
    """
    folder = tmp_path_factory.mktemp("papers")
    make_plugin(folder, "paper_plugin", PAPERS.read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("REIDBENCH_PLUGINS", "reidbench-paper-plugin")
        yield folder


@pytest.fixture
def matrix(tmp_path: Path, market: Path) -> Callable[..., Path]:
    """Writes a small matrix file; keyword arguments replace its parts (YAML text)."""

    def write(**parts: str) -> Path:
        defaults = {
            "title": "Test",
            "image_size": "[32, 16]",
            "data": f"{{tiny: {{use: market-folder, root: {market}}}}}",
            "tasks": "{tiny: {source: tiny, target: tiny}}",
            "backbone": "{use: resnet-tiny, width: 4}",
            "evaluate": "cosine",
            "methods": "{untrained: {finetune: none}}",
        }
        file = tmp_path / "matrix.yaml"
        file.write_text("".join(f"{key}: {value}\n" for key, value in {**defaults, **parts}.items() if value))
        return file

    return write


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Use one thread, for small networks; sets the seed, so that they start from the same weights each time."""
    import torch

    from reidbench.stages.worker import limited_threads

    torch.manual_seed(0)
    with limited_threads(1):
        yield


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Undo the ignored SIGINT that a shell sets for background jobs, which children inherit, unlike a handler."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Record a line about the extent of a test, with numbers, for the end of the run."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the recorded lines of all test processes."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    lines = [str(text) for report in reports for name, text in report.user_properties if name == "figure"]
    if lines:
        terminalreporter.section("what was tried")
        for line in lines:
            terminalreporter.write_line(line)
