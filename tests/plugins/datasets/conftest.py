"""Data sets are opened as the harness opens them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench import Dataset
from reidbench.components import load_attribute
from reidbench.registry import plugins
from tests.support.copies import Open


@pytest.fixture
def read(registry: plugins.Registry, tmp_path: Path) -> Open:
    """Opens a data set as a run does, and computes its fingerprint as a plan does."""

    def opened(name: str, root: Path, **params: object) -> Dataset:
        component = registry.get("dataset", name)
        given = component.params(**params)
        dataset: Dataset = component.load()(given, root, tmp_path / "cache")
        assert load_attribute(component.fingerprint)(given, root)
        return dataset

    return opened
