"""torchreid networks by name: outputs equal to the package's, and one sentence without it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from reidbench.errors import ReidbenchError
from reidbench.registry import plugins
from reidbench.training.networks import torchvision_compat  # noqa: F401 - before torchreid
from reidbench_torchreid.backbone import build
from reidbench_torchreid.params import TorchreidParams

SIZE = (64, 32)
pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore")]


def images(size: tuple[int, int] = SIZE) -> torch.Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


def checkpoint(file: Path, name: str) -> Any:
    """torchreid's network for seven persons, saved in its engine's format."""
    torchreid = pytest.importorskip("torchreid", reason="the extra torchreid is not installed")
    torch.manual_seed(2)
    network = torchreid.models.build_model(name, num_classes=7, loss="softmax", pretrained=False, use_gpu=False)
    state = {f"module.{key}": one for key, one in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3, "rank1": 0.5}, file)
    return network.eval()


@pytest.mark.parametrize(("name", "size"), [("osnet_ain_x0_25", SIZE), ("pcb_p4", (96, 32)), ("resnet18", SIZE)])
def test_answers_are_the_packages_own(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    network = checkpoint(tmp_path / "w.pth.tar", name)
    params = TorchreidParams(model=name, weights_file=tmp_path / "w.pth.tar", labels="MSMT17 labels")
    assert (params.supervision(), params.traits()) == ({"MSMT17 labels"}, {"seedless"})
    backbone = build(params, size).eval()
    with torch.no_grad():
        found, expected = backbone(images(size)), network(images(size))
    assert torch.allclose(found.vector, expected, atol=1e-6)
    assert found.map.shape == (2, backbone.dim, 1, 1)


def test_osnet_reads_the_same_file_without_the_package(tmp_path: Path) -> None:
    network = checkpoint(tmp_path / "w.pth", "osnet_x0_25")
    component = plugins.load().get("backbone", "osnet-x0-25")
    backbone = component.load()(component.params(weights_file=tmp_path / "w.pth"), SIZE).eval()
    with torch.no_grad():
        assert torch.allclose(backbone(images()).vector, network(images()), atol=1e-5)


def test_what_gives_one_vector_can_be_trained_and_what_gives_several_cannot() -> None:
    pytest.importorskip("torchreid", reason="the extra torchreid is not installed")
    backbone = build(TorchreidParams(model="osnet_x0_25"), SIZE).train()
    backbone(images()).vector.sum().backward()
    assert all(one.grad is not None for name, one in backbone.named_parameters() if "classifier" not in name)
    several = build(TorchreidParams(model="hacnn"), (160, 64))
    assert several.eval()(images((160, 64))).vector.shape == (2, several.dim)
    with pytest.raises(ReidbenchError, match="torchreid's HACNN cannot be trained here; use it without training"):
        several.train()(images((160, 64)))


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [("osnet_ain_x1_1", SIZE, "did you mean osnet_ain_x1_0"), ("hacnn", (80, 40), "does not accept images of 80x40")],
)
def test_what_cannot_be_is_one_sentence(name: str, size: tuple[int, int], words: str) -> None:
    pytest.importorskip("torchreid", reason="the extra torchreid is not installed")
    with pytest.raises(ReidbenchError, match=words):
        build(TorchreidParams(model=name), size)


def test_a_file_that_lacks_a_tensor(tmp_path: Path) -> None:
    checkpoint(tmp_path / "w.pth", "osnet_x0_25")
    content = torch.load(tmp_path / "w.pth", weights_only=True)
    del content["state_dict"]["module.conv5.conv.weight"]
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(
        ReidbenchError, match=r"1 of \d+ tensors are missing or of a different shape: conv5.conv.weight"
    ):
        build(TorchreidParams(model="osnet_x0_25", weights_file=tmp_path / "w.pth"), SIZE)


def test_without_the_package_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchreid", None)
    with pytest.raises(ReidbenchError, match=r"pip install 'reidbench\[torchreid\]'; osnet-x1-0 and osnet-x0-25 read"):
        build(TorchreidParams(model="osnet_x1_0"), SIZE)
    component = plugins.load().get("backbone", "torchreid")
    assert component.missing.startswith("not installed: torchreid")
