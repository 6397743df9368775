"""Components without a seed give the same bytes with two seeds: those that `reidbench check` skips for lack of files.

`reidbench check` tests all others: see the slow test of all shipped plugins in tests/check/test_suite.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reidbench import PrepareContext, PretrainContext, SelectContext
from reidbench.components import Component
from reidbench.data import Split, read_market_folder
from reidbench.registry import plugins
from reidbench.stages.worker import seed_torch
from reidbench.testing import write_market_folder
from reidbench_baseline.params import ResNetParams, TinyParams
from reidbench_baseline.resnet import resnet_tiny
from tests.support.contexts import files_of, make_context, same

SIZE = (32, 16)
REGISTRY = plugins.load()


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """16 images of 32x16: 4 identities, 2 cameras, 2 images."""
    return read_market_folder(write_market_folder(tmp_path_factory.mktemp("tiny") / "tiny"), name="tiny").train


class Truth:
    """Every second image shows a person."""

    def relevance(self, index: int) -> bool:
        return index % 2 == 0


def grey(file: Path, level: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((64, 48, 3), level, dtype=np.uint8)).save(file, format="png")


def listed(folder: Path, split: Split) -> dict[str, Any]:
    (folder / "list.txt").write_text("".join(f"{Path(path).name}\n" for path in split.paths[:5]))
    return {"file": folder / "list.txt"}


def styles(folder: Path, split: Split) -> dict[str, Any]:
    for number, path in enumerate(split.paths):
        for style in (1, 2):
            grey(folder / "styles" / f"{Path(path).stem}_fake_{style}.jpg", 10 * number + style)
    return {"folder": folder / "styles"}


def translations(folder: Path, split: Split) -> dict[str, Any]:
    for number, path in enumerate(split.paths):
        grey(folder / "translated" / Path(path).name, 10 * number)
    return {"folder": folder / "translated"}


def released(folder: Path, split: Split) -> dict[str, Any]:
    for number, path in enumerate(split.paths):
        for turn in ("render", "render_90"):
            grey(folder / "release" / "train" / turn / Path(path).name, 10 * number + len(turn))
    return {"folder": folder / "release", "angles": (90,)}


def meshes(folder: Path, split: Split) -> dict[str, Any]:
    """Write a tetrahedron for each image, each of another height."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
    (folder / "bodies").mkdir()
    for number, path in enumerate(split.paths):
        vertices = corners * [1, 2 + number / 8, 1]
        faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        np.savez(folder / "bodies" / f"{Path(path).stem}.npz", v=vertices, f=faces)
    return {"folder": folder / "bodies", "angles": (90,)}


def same_twice(folder: Path, component: Component, params: Any, make: Callable[[Path, int], Any]) -> list[Any]:
    """Return the results with two seeds, whose files must be equal; generators are seeded as in the harness."""
    assert "seedless" in component.traits_with(params)
    answers = []
    for seed in (0, 9):
        seed_torch(seed)
        answers.append(component.load()(make(folder / f"out{seed}", seed)))
    assert files_of(folder / "out0") == files_of(folder / "out9")
    return answers


@pytest.mark.parametrize(
    ("name", "given"),
    [("list", listed), ("oracle", lambda folder, split: {"keep": None}), ("all", lambda folder, split: {})],
)
def test_selectors(name: str, given: Callable[[Path, Split], dict[str, Any]], split: Split, tmp_path: Path) -> None:
    component, pool = REGISTRY.get("selector", name), split.hide()
    params = component.params(**given(tmp_path, split))

    def make(out: Path, seed: int) -> SelectContext:
        backbone: Any = lambda: pytest.fail("a fresh network is drawn")  # noqa: E731
        return make_context(SelectContext, out, params, seed=seed, pool=pool, backbone=backbone, truth=Truth())[0]

    first, other = same_twice(tmp_path, component, params, make)
    assert first.indices.tolist() == other.indices.tolist()
    assert first.scores.tolist() == other.scores.tolist()
    assert 0 < len(first.indices) <= len(split)


@pytest.mark.parametrize(
    ("name", "given"),
    [("camstyle-folder", styles), ("translated-folder", translations), ("gcl-release", released), ("mesh", meshes)],
)
def test_preparers(name: str, given: Callable[[Path, Split], dict[str, Any]], split: Split, tmp_path: Path) -> None:
    component, hidden = REGISTRY.get("preparer", name), split.hide()
    params = component.params(**given(tmp_path, split))

    def make(out: Path, seed: int) -> PrepareContext:
        return make_context(PrepareContext, out, params, image_size=SIZE, seed=seed, split=hidden)[0]

    same_twice(tmp_path, component, params, make)
    assert files_of(tmp_path / "out0")


def test_weights_from_a_file_that_fills_a_part_of_a_network_from_before(split: Split, tmp_path: Path) -> None:
    """The initial network is one of its inputs: a part of it remains."""
    torch.save({n: t for n, t in tiny(1).state_dict().items() if "stages.3.norm2" not in n}, tmp_path / "w.pth")
    component = REGISTRY.get("pretrainer", "weights")
    params = component.params(file=tmp_path / "w.pth")

    def make(out: Path, seed: int) -> PretrainContext:
        return make_context(PretrainContext, out, params, seed=seed, pool=None, backbone=lambda: tiny(2))[0]

    assert same(*same_twice(tmp_path, component, params, make))


def tiny(seed: int) -> Any:
    torch.manual_seed(seed)
    network = resnet_tiny(TinyParams(width=4), SIZE)
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": list(SIZE)}
    return network


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet50-ibn"])
def test_backbones_from_a_file(name: str, tmp_path: Path) -> None:
    component = REGISTRY.get("backbone", name)
    build, plain = component.load(), component.params()
    torch.manual_seed(5)
    torch.save(build(plain, SIZE).state_dict(), tmp_path / "w.pth")
    networks = []
    for params in (plain, component.params(weights_file=tmp_path / "w.pth")):
        for seed in (0, 9):
            torch.manual_seed(seed)
            networks.append(build(params, SIZE))
        assert ("seedless" in component.traits_with(params)) is same(*networks[-2:])


def test_traits_follow_the_parameters() -> None:
    jitter = REGISTRY.get("preparer", "self-style")
    assert [jitter.traits_with(jitter.params(jitter=spread)) for spread in (0, 0.2)] == [{"seedless"}, frozenset()]
    oracle = REGISTRY.get("selector", "oracle")
    assert [oracle.traits_with(oracle.params(keep=keep)) for keep in (None, 0.5)] == [{"seedless"}, frozenset()]
    assert "seedless" in ResNetParams(weights="IMAGENET1K_V1").traits()
