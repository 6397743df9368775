"""A small matrix whose data lie below a folder with a space and other letters, its store, and a pack of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from reidbench.execution import executors, progress, runner
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.packs.lasting import record_run
from reidbench.packs.writing import write_pack
from reidbench.registry import plugins
from reidbench.registry.plugins import Registry
from reidbench.store.artifacts import Store
from tests.support.copies import market1501

MATRIX = """
image_size: [32, 16]
seeds: [0, 1]
data: {{m: {{use: market1501, root: "{root}"}}}}
tasks: {{t: {{source: m, target: m}}}}
backbone: {{use: resnet-tiny, width: 4}}
evaluate: [cosine]
methods:
  narrow: {{finetune: none}}
  wide: {{finetune: none, backbone: {{use: resnet-tiny, width: 8}}}}
"""


@dataclass(frozen=True)
class Ran:
    """A matrix that was run: its plan, its store, its data and the pack of it with features."""

    plan: Plan
    store: Store
    root: Path
    pack: Path


def run(the_plan: Plan, store: Store) -> None:
    """Run a plan in this process, as `reidbench run` does."""
    record_run(the_plan, store, ())
    shown = progress.Lines(progress.Console(stderr=True))
    runner.Runner(the_plan, store, executors.make("inline", 1), shown, frozenset()).run()


def planned(file: Path, registry: Registry) -> Plan:
    return plan.expand(reader.read(file, registry))


@pytest.fixture(scope="session")
def registry() -> Registry:
    return plugins.load()


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Ran:
    folder = tmp_path_factory.mktemp("packs")
    root = market1501(folder / "Jürgen Müller" / "Market-1501")
    file = folder / "matrix.yaml"
    file.write_text(MATRIX.format(root=root), encoding="utf-8")
    the_plan, store = planned(file, registry), Store(folder / "a store")
    run(the_plan, store)
    write_pack(the_plan, store, folder / "results.zip", features=True)
    return Ran(the_plan, store, root, folder / "results.zip")
