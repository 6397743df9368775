"""The network of two-stream: separate and shared layers, and equality with the plain backbone before any step."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.registry import plugins
from reidbench.stages.networks import build_backbone, saved_embedder
from reidbench.training import Backbone, Preprocess, trained
from reidbench.training.weights.artifacts import save_embedder
from reidbench_crossmodal.network import Route, TwoStreamEmbedder, part_early_layers

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (32, 16)
WORDS = ["infrared", "visible"]
NETWORKS = [
    ("resnet-tiny", {"width": 4}),
    ("resnet18", {}),
    ("resnet50-ibn", {}),
    ("se-resnet50", {}),
    ("timm", {"model": "resnet18", "pretrained": False}),
]


def network(name: str = "resnet-tiny", params: dict[str, object] | None = None) -> Backbone:
    torch.manual_seed(0)
    given = {"width": 4} if params is None else params
    found: Backbone = build_backbone(plugins.load(others=False), {"use": name, "params": given, "image_size": SIZE})
    return found


def embedder(shared_from: int = 1, words: list[str] = WORDS, pool: str = "backbone") -> TwoStreamEmbedder:
    return TwoStreamEmbedder(network(), Preprocess(SIZE), words, shared_from, pool)


def images(count: int = 6) -> torch.Tensor:
    return torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.slow
@pytest.mark.parametrize("shared_from", [1, 4])
@pytest.mark.parametrize(("name", "params"), NETWORKS)
def test_the_copies_start_equal_so_that_all_images_pass_the_plain_backbone(
    name: str, params: dict[str, object], shared_from: int
) -> None:
    plain = network(name, params).eval()
    two = TwoStreamEmbedder(network(name, params), Preprocess(SIZE), WORDS, shared_from).eval()
    with torch.no_grad():
        expected = plain(images()).vector
        for numbers in (torch.tensor([1, 0, 0, 1, 0, 1]), torch.zeros(6, dtype=torch.long), 1):
            torch.testing.assert_close(two.before_neck(images(), numbers), expected, rtol=1e-4, atol=1e-4)
    early = [plain.stem, *list(plain.stages)[: shared_from - 1]]
    apart = sum(weight.numel() for part in early for weight in part.parameters())
    weights = sum(weight.numel() for weight in trained(two.streams))
    assert weights == sum(weight.numel() for weight in plain.parameters()) + apart > apart > 0


@pytest.mark.parametrize("shared_from", [1, 3])
def test_each_image_passes_the_early_layers_of_its_own_modality(shared_from: int) -> None:
    """The layers of one modality change: only its images get other features, the same within any batch."""
    two = embedder(shared_from).eval()
    numbers = torch.tensor([1, 0, 0, 1, 0, 1])
    with torch.no_grad():
        before = two(images(), None, numbers)
        for name, weight in two.named_parameters():
            if ".copies.1." in name:
                weight.mul_(1.5)
        after = two(images(), None, numbers)
        alone = torch.cat([two(images()[row : row + 1], None, int(numbers[row])) for row in range(6)])
    changed = (after - before).abs().amax(1) > 1e-4
    assert changed.tolist() == [True, False, False, True, False, True]
    torch.testing.assert_close(alone, after, rtol=1e-4, atol=1e-4)


def test_a_batch_norm_that_is_apart_sees_its_modality_alone_and_a_shared_one_all_images() -> None:
    two = embedder().train()
    both = torch.cat([images(4), 5 + 3 * images(4)])
    two.before_neck(both, torch.tensor([0] * 4 + [1] * 4))
    stems = two.streams.stem.copies
    for stem, own in zip(stems, (both[:4], both[4:]), strict=True):
        convolution, norm = copy.deepcopy(stem[0]), stem[1]
        with torch.no_grad():
            seen = convolution(own).mean((0, 2, 3))
        torch.testing.assert_close(norm.running_mean, 0.1 * seen, rtol=1e-4, atol=1e-5)  # momentum .1, from 0
    shared = [module for module in two.streams.stages.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {int(norm.num_batches_tracked) for norm in shared} == {1}


def test_after_a_step_the_stems_differ_and_the_rest_is_one_network() -> None:
    two = embedder().train()
    optimiser = torch.optim.SGD(two.parameters(), lr=0.1)
    numbers = torch.tensor([0, 0, 0, 1, 1, 1])
    two(images(), None, numbers)[:, 0].pow(2).sum().backward()
    optimiser.step()
    first, second = (stem.state_dict() for stem in two.streams.stem.copies)
    assert not torch.equal(first["0.weight"], second["0.weight"])
    names = [name for name in two.state_dict() if ".copies." not in name]
    assert any(name.startswith("streams.stages.0.conv1") for name in names)
    assert all(weight.grad is not None for weight in two.streams.parameters())


def test_three_modalities_have_three_stems() -> None:
    two = embedder(words=["infrared", "thermal", "visible"])
    assert len(two.streams.stem.copies) == 3
    assert two(images(), None, torch.tensor([2, 1, 0, 0, 1, 2])).shape == (6, network().dim)


@pytest.mark.parametrize("pool", ["backbone", "gem", "gem-fixed"])
def test_it_is_rebuilt_from_its_files(tmp_path: Path, pool: str) -> None:
    two = embedder(2, pool=pool).eval()
    with torch.no_grad():
        for weight in two.parameters():
            weight.add_(0.01 * torch.randn_like(weight))
    save_embedder(tmp_path, two)
    again = saved_embedder(plugins.load(others=False), tmp_path).eval()
    assert again.modalities == ("infrared", "visible")
    assert json.loads((tmp_path / "embedder.json").read_text())["spec"]["shared_from"] == 2
    numbers = torch.tensor([0, 1, 0, 1, 1, 0])
    with torch.no_grad():
        torch.testing.assert_close(again(images(), None, numbers), two(images(), None, numbers))


def test_without_the_modality_it_says_what_it_needs() -> None:
    with pytest.raises(ReidbenchError, match=r"needs each image's modality \(infrared or visible\)"):
        embedder()(images())


def test_a_backbone_has_as_many_stages_as_are_to_be_apart() -> None:
    short = network()
    short.stages = nn.ModuleList(list(short.stages)[:2])
    with pytest.raises(ReidbenchError, match="shared_from 3 is too large: the backbone has 2 stages"):
        part_early_layers(short, 3, 2, Route())
