"""Each manifest names the packages that were installed and the version of its component."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry
from reidbench.stages.provenance import installed
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix


def test_packages_are_those_that_python_finds() -> None:
    found = installed()
    assert found["torch"] == metadata.version("torch")
    assert found["pyyaml"] == metadata.version("PyYAML")
    assert list(found) == sorted(found)
    assert installed() is found


def test_the_first_of_a_name_counts_and_damage_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, name, text in (
        ("first", "Some_Thing-1.dist-info", "Name: Some_Thing\nVersion: 1\n"),
        ("second", "some.thing-2.dist-info", "Name: some.thing\nVersion: 2\n"),
        ("second", "nameless-3.dist-info", "Version: 3\n"),
    ):
        (tmp_path / folder / name).mkdir(parents=True)
        (tmp_path / folder / name / "METADATA").write_text(f"Metadata-Version: 2.1\n{text}")
    (tmp_path / "second" / "broken-1.dist-info").mkdir()
    (tmp_path / "second" / "broken-1.dist-info" / "METADATA").write_bytes(b"Name: \xff\xfe")
    monkeypatch.setattr("sys.path", [str(tmp_path / "first"), str(tmp_path / "second")])
    assert installed() == {"some-thing": "1"}
    (tmp_path / "second" / "late-4.dist-info").mkdir()
    (tmp_path / "second" / "late-4.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: late\nVersion: 4\n"
    )
    assert installed() == {"late": "4", "some-thing": "1"}


def test_every_manifest_names_packages_and_version(
    matrix: Callable[..., Path], tmp_path: Path, registry: Registry
) -> None:
    file = matrix()
    run_matrix(file.read_text(), tmp_path)
    store = Store(tmp_path / "store")
    kinds = set()
    for stage in plan.expand(reader.read(file, registry)).stages.values():
        manifest = store.manifest(stage.key).manifest
        kinds.add(stage.kind)
        assert store.environment(manifest["environment"]) == dict(installed())
        component = {"data": "dataset", "finetune": "finetuner", "evaluate": "evaluator"}.get(stage.kind)
        wanted = registry.get(component, stage.use).version if component else None
        assert manifest.get("version") == wanted
    assert kinds == {"data", "finetune", "embed", "evaluate"}
    assert len(list((tmp_path / "store" / "environments").iterdir())) == 1
