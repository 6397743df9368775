"""Costs of an embedder, by hand: parameters, multiply-adds and bytes; of times only that they are measured."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
import torch
from torch import nn

from reidbench.registry import plugins
from reidbench.stages.networks import build_backbone
from reidbench.training import BackboneEmbedder, Embedder, Preprocess, SplitEmbedder
from reidbench.training import efficiency as measuring
from reidbench.training.efficiency import FEWEST, RUNS, WARM_UP, measure, multiply_adds

pytestmark = pytest.mark.usefixtures("one_thread")
EXACT = ("params", "macs", "bytes")


class Toy(Embedder):
    """A convolution, a mean and a linear layer on images of 8x6, which counts how often it is called."""

    def __init__(self) -> None:
        super().__init__(preprocess=Preprocess((8, 6)))
        self.convolution = nn.Conv2d(3, 5, 3, stride=2, padding=1)
        self.linear = nn.Linear(5, 7)
        self.calls: list[int] = []

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        assert camids is not None
        assert len(camids) == len(images)
        self.calls.append(len(images))
        return self.linear(self.convolution(images).relu().mean((2, 3)))  # type: ignore[no-any-return]


def test_a_toy_by_hand() -> None:
    """The convolution gives 5 maps of 4x3, each number from 3 x 3 x 3; the linear layer takes 5 numbers to 7."""
    found = measure(Toy())
    assert {name: found[name] for name in EXACT} == {
        "params": (5 * 3 * 3 * 3 + 5) + (7 * 5 + 7),
        "macs": 5 * 4 * 3 * 27 + 7 * 5,
        "bytes": 7 * 4,
    }


def test_what_takes_no_images_is_no_network() -> None:
    assert measuring.is_network(Toy())
    assert not measuring.is_network(Embedder(preprocess=Preprocess((8, 6))))
    assert not measuring.is_network(SplitEmbedder(preprocess=Preprocess((8, 6))))  # a program


def test_with_flip_an_image_costs_two_passes_and_has_one_feature() -> None:
    plain, both = measure(Toy()), measure(Toy(), flip=True)
    assert both["macs"] == 2 * plain["macs"]
    assert [both[name] for name in ("params", "bytes")] == [plain[name] for name in ("params", "bytes")]


def test_times_are_medians_between_their_quartiles_after_a_warm_up() -> None:
    toy = Toy()
    found = measure(toy)
    assert not toy.training
    for suffix in ("", "64"):
        assert found[f"runs{suffix}"] == RUNS
        low, middle, high = (found[f"latency{suffix}{part}"] for part in ("_low", "", "_high"))
        assert 0 < low <= middle <= high
    assert toy.calls.count(64) == 1 + WARM_UP + RUNS  # the first one is for the memory
    assert toy.calls.count(1) == 2 + WARM_UP + RUNS  # one is counted, one gives the feature
    assert found["memory"] >= 4 * found["params"] / 2**20


def test_a_slow_network_is_timed_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "SECONDS", 0.0)
    toy = Toy()
    found = measure(toy)
    assert (found["runs"], found["runs64"]) == (FEWEST, FEWEST)
    assert toy.calls.count(64) == 1 + 1 + FEWEST  # for the memory, to warm up, and timed


def test_the_quartiles_of_known_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes of 1, 2, ..., 9 s after three of 100 s: quartiles 3, 5 and 7."""
    passes = [100] * WARM_UP + list(range(1, 10))
    ticks = iter([tick for seconds in [*passes, *passes] for tick in (0.0, float(seconds))])
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: next(ticks))
    monkeypatch.setattr(measuring, "RUNS", 9)
    monkeypatch.setattr(measuring, "SECONDS", 1000.0)
    found = measure(Toy())
    assert [found[f"latency{part}"] for part in ("_low", "", "_high")] == [3000.0, 5000.0, 7000.0]


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [1, 64])
def test_memory_holds_what_a_pass_of_64_images_needs(blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the C library still keeps memory that was freed before, here 100 blocks with something in between."""
    freed = [(torch.ones(2**18), bytearray(20_000)) for _ in range(100)]
    between = [small for _, small in freed]
    del freed
    looks, held = [0], measuring._held

    def counted() -> int:
        found = held()
        looks[0] += 1
        return found

    monkeypatch.setattr(measuring, "_held", counted)

    class Large(Toy):
        def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
            held = [torch.ones(len(images) // blocks, 2**18) for _ in range(blocks)]  # 1 MiB an image
            if len(images) == 64 and self.calls.count(64) == 0:  # the pass that is watched
                before = looks[0]
                while looks[0] < before + 2:  # one whole look at least, on a busy machine too
                    time.sleep(0.001)
            return super().forward(images, camids) + 0 * sum(block.sum() for block in held)

    assert 63 < measure(Large())["memory"] < 128  # a small part may come from memory that the C library still keeps
    assert len(between) == 100


def conv(width: int, channels: int, kernel: int, of: int) -> int:
    return of * width * channels * kernel * kernel


def test_resnet_tiny_by_hand() -> None:
    """Its convolutions, read off the network itself, at the sizes that their strides give."""
    network = build_backbone(plugins.load(), {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]})
    sizes: list[tuple[nn.Conv2d, torch.Size]] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda own, _, made: sizes.append((own, made.shape[2:])))
    network.eval()(torch.zeros(1, 3, 32, 16))
    expected = sum(conv(c.in_channels, c.out_channels, c.kernel_size[0], h * w) for c, (h, w) in sizes)
    found = measure(BackboneEmbedder(network, Preprocess((32, 16)), neck=True))
    assert found["macs"] == expected > 0
    assert found["bytes"] == 4 * network.dim
    assert found["params"] == sum(p.numel() for p in network.parameters()) + 2 * network.dim


def test_attention_is_counted_on_a_cpu_too() -> None:
    """T tokens of D numbers: four D x D products a token, scores and their sums T x T x D each; an MLP of 2 D."""
    tokens, dim, hidden = 5, 16, 32
    layer = nn.TransformerEncoderLayer(dim, 2, hidden, batch_first=True).eval()
    with torch.no_grad():
        found = multiply_adds(layer, torch.rand(1, tokens, dim))
    assert found == 4 * tokens * dim * dim + 2 * tokens * tokens * dim + 2 * tokens * dim * hidden
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.slow
def test_numbers_grow_with_the_network_alone() -> None:
    registry = plugins.load()
    found = []
    for width in (4, 8, 16):
        described = {"use": "resnet-tiny", "params": {"width": width}, "image_size": [32, 16]}
        found.append(measure(BackboneEmbedder(build_backbone(registry, described), Preprocess((32, 16)))))
    assert all(before[name] < after[name] for before, after in pairwise(found) for name in EXACT)
    again = measure(BackboneEmbedder(build_backbone(registry, described), Preprocess((32, 16))))
    assert [again[name] for name in EXACT] == [found[-1][name] for name in EXACT]
