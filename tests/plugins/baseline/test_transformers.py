"""Transformer backbones, their stems and positions, stochastic depth, and ResNet-50 with IBN."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.registry import plugins
from reidbench.training.networks.droppath import drop_path_rates, set_drop_path
from reidbench.training.weights.artifacts import load_backbone, save_backbone
from reidbench_baseline.ibn import resnet50_ibn
from reidbench_baseline.stems import IBN, convolution_stem
from reidbench_baseline.swin import swin_base, swin_small, swin_tiny
from reidbench_baseline.transformer_params import IbnParams, SwinParams, ViTParams, ViTTinyParams
from reidbench_baseline.transformers import backbones
from reidbench_baseline.vit import ViT, interpolate_positions, vit_base, vit_small, vit_tiny

pytestmark = pytest.mark.usefixtures("one_thread")
COMPONENTS = {component.name: component for component in backbones()}
META = torch.device("meta")


def tiny(size: tuple[int, int] = (64, 32), **params: Any) -> ViT:
    torch.manual_seed(0)
    return vit_tiny(ViTTinyParams.model_validate(params), size)


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def meta(build: Any, params: Any, size: tuple[int, int] = (256, 128)) -> nn.Module:
    """The network without data: shapes and names only, created instantly."""
    with META:
        return build(params, size)  # type: ignore[no-any-return]


# Components


def test_the_components_provide_what_methods_ask_for() -> None:
    vits, swins = (["vit-tiny", "vit-small", "vit-base"], ["swin-tiny", "swin-small", "swin-base"])
    assert list(COMPONENTS) == [*vits, *swins, "resnet50-ibn"]
    for name, plain in (("vit-tiny", {"tokens"}), ("vit-base", {"tokens"}), ("swin-tiny", set())):
        component = COMPONENTS[name]
        assert component.capabilities_with(component.params()) == plain
        for stem in ("ics", "conv"):
            assert component.capabilities_with(component.params.model_validate({"stem": stem})) == plain | {"bn"}
    assert COMPONENTS["resnet50-ibn"].capabilities_with(IbnParams()) == {"stages", "bn"}


def test_declaring_them_imports_no_torch() -> None:
    code = (
        "import sys, reidbench_baseline.transformers as t; print(len(list(t.backbones())), "
        "any(name in sys.modules for name in ('torch', 'timm')))"
    )
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["7", "False"]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("vit-tiny", "patchify"),
        ("vit-tiny", "ics"),
        ("vit-tiny", "conv"),
        ("swin-tiny", "patchify"),
        ("swin-tiny", "ics"),
        ("resnet50-ibn", ""),
    ],
)
def test_every_backbone_answers_with_a_map_and_a_vector(name: str, stem: str) -> None:
    component = COMPONENTS[name]
    given = {"stem": stem} if stem else {}
    network = component.load()(component.params.model_validate(given), (64, 32))
    features = network(torch.randn(2, 3, 64, 32))
    height, width = {"vit-tiny": (8, 4), "swin-tiny": (2, 1), "resnet50-ibn": (4, 2)}[name]
    assert features.map.shape == (2, network.dim, height, width)
    assert features.vector.shape == (2, network.dim)
    features.vector.square().sum().backward()
    unused = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert unused == []
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == (
        "bn" in component.capabilities_with(component.params.model_validate(given))
    )


def test_a_saved_backbone_comes_back(tmp_path: Path) -> None:
    network = tiny(stem="ics", drop_path=0.1)
    network.spec = {"use": "vit-tiny", "params": {"stem": "ics"}, "image_size": [64, 32]}
    network(torch.randn(4, 3, 64, 32))
    save_backbone(tmp_path, network)
    again = load_backbone(tmp_path, lambda spec: tiny(**spec["params"]))
    images = torch.randn(2, 3, 64, 32)
    assert torch.equal(again.eval()(images).vector, network.eval()(images).vector)


# Vision transformers


def test_parameter_and_tensor_counts_are_the_published_ones() -> None:
    """Parameters of each width and stem; 150 tensors, 172 with ICS, whose stem has 1,656,768."""
    small = meta(vit_small, ViTParams())
    assert (count(small), len(small.state_dict())) == (21_639_552, 150)
    ics = meta(vit_small, ViTParams(stem="ics"))
    assert (count(ics), len(ics.state_dict())) == (23_001_024, 172)
    assert count(ics.patch_embed) == 1_656_768
    assert count(meta(vit_base, ViTParams())) == 85_746_432
    base = meta(vit_base, ViTParams(stem="ics"))
    assert (count(base.patch_embed), len(base.state_dict())) == (3_230_016, 172)
    assert (count(tiny()), count(tiny(stem="ics"))) == (95_808, 105_936)
    assert count(tiny(dim=96, depth=4)) == 469_344


def test_names_and_shapes_are_those_of_the_released_files() -> None:
    """The converted layout of the released checkpoints: every name of the stem and of one block."""
    shapes = {name: tuple(t.shape) for name, t in meta(vit_small, ViTParams(stem="ics")).state_dict().items()}
    expected: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, 384),
        "pos_embed": (1, 129, 384),
        "patch_embed.conv.0.weight": (64, 3, 7, 7),
        "patch_embed.conv.3.weight": (64, 64, 3, 3),
        "patch_embed.conv.6.weight": (64, 64, 3, 3),
        "patch_embed.proj.weight": (384, 64, 8, 8),
        "patch_embed.proj.bias": (384,),
        "norm.weight": (384,),
        "norm.bias": (384,),
    }
    for conv in (1, 4):
        expected |= {f"patch_embed.conv.{conv}.{part}": (32,) for part in ("IN.weight", "IN.bias")}
        expected |= {f"patch_embed.conv.{conv}.BN.{part}": shape for part, shape in batch_norm(32).items()}
    expected |= {f"patch_embed.conv.7.{part}": shape for part, shape in batch_norm(64).items()}
    for block in range(12):
        layers = {"norm1": (384,), "attn.qkv": (1152, 384), "attn.proj": (384, 384), "norm2": (384,)}
        layers |= {"mlp.fc1": (1536, 384), "mlp.fc2": (384, 1536)}
        for layer, shape in layers.items():
            expected[f"blocks.{block}.{layer}.weight"] = shape
            expected[f"blocks.{block}.{layer}.bias"] = shape[:1]
    assert shapes == expected
    plain = {name: tuple(t.shape) for name, t in meta(vit_small, ViTParams()).state_dict().items()}
    stem = {name for name in expected if name.startswith("patch_embed.conv.")}
    assert plain == {n: s for n, s in expected.items() if n not in stem} | {"patch_embed.proj.weight": (384, 3, 16, 16)}


def batch_norm(channels: int) -> dict[str, tuple[int, ...]]:
    names = ("weight", "bias", "running_mean", "running_var")
    return dict.fromkeys(names, (channels,)) | {"num_batches_tracked": ()}


@pytest.mark.parametrize("stem", ["patchify", "ics"])
def test_tokens_of_a_global_and_of_a_local_crop(stem: str) -> None:
    """129 tokens at 256x128 and 33 at 128x64, stride 16 in all; at 384x128 193."""
    network = tiny((256, 128), patch=16, dim=12, depth=1, stem=stem)
    with torch.no_grad():
        for size, tokens in (((256, 128), 129), ((128, 64), 33), ((384, 128), 193)):
            assert network.tokens(torch.randn(1, 3, *size)).shape == (1, tokens, 12)
        assert network(torch.randn(1, 3, 256, 128)).map.shape == (1, 12, 16, 8)
    assert network.grid == (16, 8)


@pytest.mark.parametrize("stem", ["patchify", "ics", "conv"])
def test_overlapping_patches(stem: str) -> None:
    """TransReID's step of 12: 21 x 10 = 210 tokens at 256x128."""
    network = tiny((256, 128), patch=16, stride=12, dim=12, depth=1, stem=stem)
    assert network.grid == (21, 10)
    assert network.pos_embed.shape == (1, 211, 12)
    with torch.no_grad():
        assert network(torch.randn(1, 3, 256, 128)).map.shape == (1, 12, 21, 10)


def test_the_network_is_timms_where_timm_has_one() -> None:
    """Names, weights and output equal timm's ViT: CLS after the final norm, LayerNorm's eps 1e-6."""
    from timm.models.vision_transformer import VisionTransformer

    ours = tiny().eval()
    reference = VisionTransformer(
        img_size=(64, 32), patch_size=8, embed_dim=48, depth=3, num_heads=3, num_classes=0
    ).eval()
    reference.load_state_dict(ours.state_dict())
    images = torch.randn(3, 3, 64, 32)
    with torch.no_grad():
        expected = reference.forward_features(images)
        features = ours(images)
    assert torch.allclose(features.vector, expected[:, 0], atol=1e-5)
    assert torch.allclose(features.map[:, :, 5, 3], expected[:, 1 + 5 * 4 + 3], atol=1e-5)
    assert {module.eps for module in ours.modules() if isinstance(module, nn.LayerNorm)} == {1e-6}


def test_a_shift_is_added_to_every_token() -> None:
    network = tiny().eval()
    images, shift = torch.randn(2, 3, 64, 32), torch.randn(2, 48)
    with torch.no_grad():
        plain, shifted = network.tokens(images), network.tokens(images, shift)
        assert torch.allclose(shifted - plain, shift[:, None].expand(2, 33, 48), atol=1e-5)
        assert torch.allclose(network(images, torch.zeros(2, 48)).vector, network(images).vector)
        assert not torch.allclose(network(images, shift).vector, network(images).vector, atol=1e-3)


def test_sizes_that_patches_do_not_fit_are_refused() -> None:
    for params, size in (({}, (60, 32)), ({"stem": "ics"}, (64, 36)), ({"stride": 4, "stem": "ics"}, (65, 32))):
        with pytest.raises(ReidbenchError, match=r"patches of 8 pixels do not fit an image of \d+x\d+: height and"):
            tiny(size, **params)
    with pytest.raises(ReidbenchError, match="do not fit an image of 64x33"):
        tiny()(torch.zeros(1, 3, 64, 33))
    for given in ({"stride": 17}, {"stem": "ics", "patch": 7}, {"stem": "conv", "stride": 5}):
        with pytest.raises(ValueError, match=r"stride|even"):
            ViTParams.model_validate(given)
    with pytest.raises(ValueError, match="is not divisible by heads 5"):
        ViTTinyParams(heads=5)


# Positions


def test_positions_of_another_grid_keep_rows_and_columns_apart() -> None:
    """A field that varies along the rows only; for the same size returns the same tensor."""
    rows = torch.arange(16.0).repeat_interleave(8)
    positions = torch.cat((torch.tensor([99.0]), rows)).reshape(1, 129, 1)
    assert interpolate_positions(positions, (16, 8), (16, 8)) is positions
    small = interpolate_positions(positions, (16, 8), (8, 4))
    assert small.shape == (1, 33, 1)
    assert small[0, 0, 0] == 99.0
    field = small[0, 1:].reshape(8, 4)
    assert torch.allclose(field, field[:, :1].expand(8, 4), atol=1e-5)
    assert (field[1:, 0] - field[:-1, 0] > 1.5).all()
    turned = interpolate_positions(positions, (16, 8), (8, 16))  # as many patches, but another grid
    assert turned is not positions
    assert torch.allclose(turned[0, 1:].reshape(8, 16)[:, :1].expand(8, 16), turned[0, 1:].reshape(8, 16), atol=1e-5)


def test_positions_are_bicubic_with_dinos_scale() -> None:
    """Compared with an independent formulation: kernel with a = -0.75, samples at (i + 0.5) H / (h + 0.1) - 0.5."""
    positions = torch.randn(1, 129, 3)
    field = positions[0, 1:].reshape(16, 8, 3).double().numpy()
    for grid in ((8, 4), (24, 8), (5, 7)):
        found = interpolate_positions(positions, (16, 8), grid)
        assert np.allclose(found[0, 1:].reshape(*grid, 3), bicubic(field, grid), atol=1e-4)
        assert torch.equal(found[:, :1], positions[:, :1])


def bicubic(field: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """[H, W, d] sampled at `grid`, one axis after the other, clamped at the border."""

    def kernel(x: np.ndarray, a: float = -0.75) -> np.ndarray:
        x = np.abs(x)
        near = (a + 2) * x**3 - (a + 3) * x**2 + 1
        far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
        return np.where(x <= 1, near, np.where(x < 2, far, 0))

    for axis in (0, 1):
        length = field.shape[axis]
        at = (np.arange(grid[axis]) + 0.5) * length / (grid[axis] + 0.1) - 0.5
        weights = np.zeros((grid[axis], length))
        for offset in (-1, 0, 1, 2):
            index = np.floor(at).astype(int) + offset
            np.add.at(weights, (np.arange(grid[axis]), np.clip(index, 0, length - 1)), kernel(at - index))
        field = np.moveaxis(np.tensordot(weights, field, axes=(1, axis)), 0, axis)
    return field


def test_the_network_uses_them() -> None:
    """A local crop's tokens are its patches plus the positions of its grid."""
    network = tiny()
    images = torch.randn(1, 3, 32, 16)
    patches = torch.cat((network.cls_token, network.patch_embed.proj(images).flatten(2).transpose(1, 2)), dim=1)
    positions = interpolate_positions(network.pos_embed, (8, 4), (4, 2))
    assert torch.allclose(network.tokens(images), patches + positions, atol=1e-6)


# The stems


def test_instance_norm_is_on_half_of_the_channels_of_two_norms() -> None:
    """conv.7 is plain batch norm; in evaluation the instance norm's half forgets the image's scale, only it."""
    torch.manual_seed(0)
    stem = convolution_stem(64, mixed=True).eval()
    kinds = {index: type(module).__name__ for index, module in enumerate(stem) if "Conv" not in type(module).__name__}
    assert kinds == {1: "IBN", 2: "ReLU", 4: "IBN", 5: "ReLU", 7: "BatchNorm2d", 8: "ReLU"}
    assert [stem[1].IN.num_features, stem[1].BN.num_features] == [32, 32]
    images = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        difference = (stem[:2](3 * images) - stem[:2](images)).abs()
        assert difference[:, :32].max() < 1e-3
        assert difference[:, 32:].max() > 1
        inner = (slice(None), slice(None), slice(4, -4), slice(4, -4))  # away from the border, padded with zeros
        maps, raised = stem[0](images), stem[0](images + 2)
        offsets = (raised - maps)[inner]
        assert torch.allclose(offsets, offsets.mean((2, 3), keepdim=True).expand_as(offsets), atol=1e-4)


def test_ibn_is_the_two_norms_by_hand() -> None:
    norm = IBN(6)
    x = torch.randn(4, 6, 5, 3)
    y = norm(x)
    first, second = x[:, :3], x[:, 3:]
    mean, variance = first.mean((2, 3), keepdim=True), first.var((2, 3), keepdim=True, correction=0)
    assert torch.allclose(y[:, :3], (first - mean) / (variance + 1e-5).sqrt(), atol=1e-5)
    mean, variance = second.mean((0, 2, 3), keepdim=True), second.var((0, 2, 3), keepdim=True, correction=0)
    assert torch.allclose(y[:, 3:], (second - mean) / (variance + 1e-5).sqrt(), atol=1e-5)
    assert norm.IN.running_mean is None


def test_the_control_differs_in_the_norms_only() -> None:
    """conv is ics with batch norm: as many weights, no instance norm."""
    ics, conv = tiny(stem="ics"), tiny(stem="conv")
    assert count(ics) == count(conv)
    assert not any(isinstance(module, nn.InstanceNorm2d) for module in conv.modules())
    convolutions = [[m.weight.shape for m in n.modules() if isinstance(m, nn.Conv2d)] for n in (ics, conv)]
    assert convolutions[0] == convolutions[1]
    assert convolutions[0] == [(16, 3, 7, 7), (16, 16, 3, 3), (16, 16, 3, 3), (48, 16, 4, 4)]
    strides = [module.stride for module in ics.patch_embed.modules() if isinstance(module, nn.Conv2d)]
    assert strides == [(2, 2), (1, 1), (1, 1), (4, 4)]


def test_an_image_has_the_same_features_alone_and_in_a_batch() -> None:
    """The instance norm keeps no running statistics."""
    network = tiny(stem="ics")
    network(torch.randn(8, 3, 64, 32))
    network.eval()
    images = torch.randn(5, 3, 64, 32)
    with torch.no_grad():
        together = network(images).vector
        for index in range(5):
            assert torch.allclose(network(images[index : index + 1]).vector[0], together[index], atol=1e-5)


def test_batch_norm_of_the_stem_moves_in_training_and_is_saved() -> None:
    """Running buffers follow the batch and are in the state dict; evaluation does not change them."""
    network = tiny(stem="ics")
    name = "patch_embed.conv.1.BN.running_mean"
    images = torch.randn(4, 3, 64, 32)
    assert network.state_dict()[name].abs().max() == 0
    network(images)
    moved = network.state_dict()[name].clone()
    expected = network.patch_embed.conv[0](images)[:, 8:].mean((0, 2, 3))
    assert torch.allclose(moved, 0.1 * expected, atol=1e-6)
    assert network.state_dict()["patch_embed.conv.7.num_batches_tracked"] == 1
    network.eval()(images)
    assert torch.equal(network.state_dict()[name], moved)
    assert len([key for key in network.state_dict() if "running" in key]) == 6


# Stochastic depth


def test_drop_path_is_linear_over_the_depth() -> None:
    """linspace(0, 0.1, 12) for the student, all zero for the teacher, whose answer has no chance in it."""
    from timm.layers import DropPath

    student = meta(vit_small, ViTParams(drop_path=0.1))
    assert np.allclose(drop_path_rates(student), np.linspace(0, 0.1, 12))
    assert np.allclose(
        [m.drop_prob for m in student.modules() if isinstance(m, DropPath)], np.repeat(np.linspace(0, 0.1, 12), 2)
    )
    assert drop_path_rates(meta(vit_small, ViTParams())) == [0.0] * 12
    network, images = tiny(drop_path=0.5).train(), torch.randn(8, 3, 64, 32)
    assert not torch.equal(network(images).vector, network(images).vector)
    assert set_drop_path(network, 0.0) == [0.0] * 3
    assert torch.equal(network(images).vector, network(images).vector)
    assert set_drop_path(network, 0.3) == pytest.approx([0, 0.15, 0.3])
    network.eval()
    assert torch.equal(network(images).vector, network(images).vector)


def test_drop_path_is_set_on_networks_that_were_built_without() -> None:
    """timm leaves an Identity where the rate is zero; the state dict does not change."""
    from timm.models.vision_transformer import VisionTransformer

    for built in (0.0, 0.2):
        network = VisionTransformer(
            img_size=16, patch_size=8, embed_dim=8, depth=4, num_heads=2, num_classes=0, drop_path_rate=built
        )
        names = list(network.state_dict())
        assert drop_path_rates(network) == pytest.approx(np.linspace(0, built, 4))
        assert set_drop_path(network, 0.6) == pytest.approx([0, 0.2, 0.4, 0.6])
        assert drop_path_rates(network) == pytest.approx([0, 0.2, 0.4, 0.6])
        assert [block.drop_path2.drop_prob for block in network.blocks] == pytest.approx([0, 0.2, 0.4, 0.6])
        assert list(network.state_dict()) == names
    assert np.allclose(drop_path_rates(meta(swin_tiny, SwinParams(drop_path=0.2))), np.linspace(0, 0.2, 12))
    assert set_drop_path(nn.Sequential(nn.Linear(2, 2)), 0.5) == []
    with pytest.raises(ReidbenchError, match=r"in \[0, 1\), got 1"):
        set_drop_path(network, 1.0)


def test_drop_path_drops_whole_images_and_keeps_the_mean() -> None:
    from timm.layers import DropPath

    torch.manual_seed(0)
    layer = DropPath(0.25).train()
    y = layer(torch.ones(4000, 3, 2))
    assert all(image.unique().numel() == 1 for image in y[:50])
    values = y[:, 0, 0].unique()
    assert torch.allclose(values, torch.tensor([0.0, 4 / 3]))
    assert y.mean().item() == pytest.approx(1, abs=0.05)  # five standard errors: 0.577 / sqrt(4000) x 5
    assert layer.eval()(y) is y


# Swin


def test_swin_is_timms_at_its_own_size() -> None:
    """28,288,354 parameters of Swin-T less its 769,000 of the classifier; the same answer at 224x224."""
    import timm

    torch.manual_seed(0)
    ours = swin_tiny(SwinParams(), (224, 224)).eval()
    reference = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0).eval()
    assert count(ours) == 28_288_354 - 769_000
    reference.load_state_dict(ours.state_dict())
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        features = ours(images)
        assert torch.allclose(features.vector, reference(images), atol=1e-4)
    assert features.map.shape == (1, 768, 7, 7)
    assert torch.allclose(features.map.mean((2, 3)), features.vector, atol=1e-5)


def test_the_larger_swins_have_the_papers_sizes() -> None:
    """Swin-S has 49,606,258 parameters and Swin-B 87,768,224 (timm), less a classifier of 1000 classes."""
    small, base = meta(swin_small, SwinParams()), meta(swin_base, SwinParams())
    assert count(small) == 49_606_258 - 769 * 1000
    assert count(base) == 87_768_224 - 1025 * 1000
    assert (small.dim, base.dim) == (768, 1024)


def test_swins_weights_fit_every_image_size() -> None:
    """Windows of 7 do not divide the maps of 64x32; one network accepts it, its local crops and odd maps."""
    sizes = [(64, 32), (32, 16), (96, 48), (100, 52)]
    shapes = [
        {name: tensor.shape for name, tensor in meta(swin_tiny, SwinParams(), size).state_dict().items()}
        for size in ((64, 32), (256, 128), (224, 224))
    ]
    assert shapes[0] == shapes[1] == shapes[2]
    network = swin_tiny(SwinParams(window=4), (64, 32)).eval()
    with torch.no_grad():
        for size in sizes:
            images = torch.randn(2, 3, *size)
            features = network(images)
            assert features.map.shape == (2, 768, *(-(-side // 32) for side in size))
            assert torch.allclose(network(images[1:]).vector[0], features.vector[1], atol=1e-4)
    with pytest.raises(ReidbenchError, match="multiples of 4"):
        network(torch.zeros(1, 3, 66, 32))


@pytest.mark.parametrize(
    ("size", "window", "shifts"),
    [
        ((256, 128), 8, [4, 4, 0, 0]),  # maps of 64x32, 32x16, 16x8 and 8x4: one window is as wide as the third
        ((224, 224), 7, [3, 3, 3, 0]),
        ((64, 32), 4, [2, 0, 0, 0]),
    ],
)
def test_swin_shifts_no_side_of_a_map_that_a_window_covers_in_one(
    size: tuple[int, int], window: int, shifts: list[int]
) -> None:
    network = meta(swin_tiny, SwinParams(window=window), size)
    assert [stage.blocks[1].shift_size for stage in network.layers] == [(shift, shift) for shift in shifts]
    assert {block.shift_size for stage in network.layers for block in stage.blocks[::2]} == {(0, 0)}


def test_a_covered_swin_block_is_attention_in_two_windows() -> None:
    """The second block of the third stage at 256x128 with windows of 8: rows 0 to 7 and 8 to 15, by the formula."""
    torch.manual_seed(0)
    block = swin_tiny(SwinParams(window=8), (256, 128)).layers[2].blocks[1].double().eval()
    x = torch.randn(1, 16, 8, 384, dtype=torch.float64)
    w = dict(block.named_parameters())
    offset = torch.stack(torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij"), -1).reshape(64, 2)
    between = offset[:, None] - offset[None] + 7
    bias = w["attn.relative_position_bias_table"][between[..., 0] * 15 + between[..., 1]].permute(2, 0, 1)
    halves = []
    for half in x[0].split(8):
        tokens = half.reshape(64, 384)
        normed = F.layer_norm(tokens, (384,), w["norm1.weight"], w["norm1.bias"])
        q, k, v = (normed @ w["attn.qkv.weight"].T + w["attn.qkv.bias"]).view(64, 3, 12, 32).permute(1, 2, 0, 3)
        mixed = (torch.softmax(q @ k.mT / math.sqrt(32) + bias, -1) @ v).transpose(0, 1).reshape(64, 384)
        tokens = tokens + mixed @ w["attn.proj.weight"].T + w["attn.proj.bias"]
        normed = F.layer_norm(tokens, (384,), w["norm2.weight"], w["norm2.bias"])
        hidden = F.gelu(normed @ w["mlp.fc1.weight"].T + w["mlp.fc1.bias"])
        halves.append((tokens + hidden @ w["mlp.fc2.weight"].T + w["mlp.fc2.bias"]).view(8, 8, 384))
    assert torch.allclose(block(x)[0], torch.cat(halves), atol=1e-10)


# ResNet-50 with IBN


def test_ibn_a_is_in_the_first_norm_of_stages_1_to_3() -> None:
    """Pan et al.: 3 + 4 + 6 blocks, none of stage 4, half of the channels; as many weights as ResNet-50."""
    network = meta(resnet50_ibn, IbnParams())
    mixed = {name: module for name, module in network.named_modules() if isinstance(module, IBN)}
    blocks = ((1, 3), (2, 4), (3, 6))
    assert list(mixed) == [f"layer{stage}.{block}.bn1" for stage, number in blocks for block in range(number)]
    widths = [(module.IN.num_features, module.BN.num_features) for module in mixed.values()]
    assert widths == [(32, 32)] * 3 + [(64, 64)] * 4 + [(128, 128)] * 6
    assert count(network) == 25_557_032 - 2_049_000  # ResNet-50 less its classifier
    assert isinstance(network.bn1, nn.BatchNorm2d)
    names = set(network.state_dict())
    assert {"layer1.0.bn1.IN.weight", "layer3.5.bn1.BN.running_var", "layer4.0.bn1.weight"} <= names


def test_ibn_b_is_after_the_additions_of_stages_1_and_2() -> None:
    network = meta(resnet50_ibn, IbnParams(ibn="b"))
    norms = {name: m.num_features for name, m in network.named_modules() if isinstance(m, nn.InstanceNorm2d)}
    assert norms == {"bn1": 64, "layer1.2.IN": 256, "layer2.3.IN": 512}
    assert count(network) == 23_508_032 + 2 * (256 + 512)
    real = resnet50_ibn(IbnParams(ibn="b"), (64, 32))
    seen: list[torch.Tensor] = []
    real.layer1[2].IN.register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    images = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        maps = real.layer1(real.stem(images))
    assert seen[0].mean((2, 3)).abs().max() < 1e-5
    assert torch.allclose(seen[0].var((2, 3), correction=0), torch.ones(2, 256), atol=1e-2)
    assert torch.equal(maps, seen[0].relu())


@pytest.mark.slow
def test_ibn_networks_read_the_official_names(tmp_path: Path) -> None:
    """A file with ResNet-50's names and bn1.IN, bn1.BN, classifier included; IBN-b's file does not fit IBN-a."""
    torch.manual_seed(1)
    source = resnet50_ibn(IbnParams(), (64, 32))
    file = tmp_path / "resnet50_ibn_a.pth"
    torch.save({**source.state_dict(), "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, file)
    target = resnet50_ibn(IbnParams(weights_file=file, last_stride=2), (64, 32))
    assert all(torch.equal(target.state_dict()[name], tensor) for name, tensor in source.state_dict().items())
    with torch.no_grad():
        assert target.eval()(torch.randn(1, 3, 64, 32)).map.shape == (1, 2048, 2, 1)
    with pytest.raises(ReidbenchError, match="missing or of a different shape"):
        meta(resnet50_ibn, IbnParams(ibn="b", weights_file=file))


@pytest.mark.parametrize("name", ["resnext50", "se-resnet50"])
def test_relatives_of_resnet50(name: str, registry: plugins.Registry) -> None:
    """Last stride 1: a map of H/16 x W/16 of 2,048 channels; 2 halves it. Both give their stages to branches."""
    component = registry.get("backbone", name)
    built = {stride: component.load()(component.params(last_stride=stride), (64, 32)).eval() for stride in (1, 2)}
    with torch.no_grad():
        found = {stride: network(torch.randn(1, 3, 64, 32)) for stride, network in built.items()}
    assert found[1].map.shape == (1, 2048, 4, 2)
    assert found[2].map.shape == (1, 2048, 2, 1)
    assert torch.allclose(found[1].vector, found[1].map.mean((2, 3)))
    parameters = sum(parameter.numel() for parameter in built[1].parameters())
    # torchvision: 25,028,904 with a classifier of 2,049,000; timm: 28,088,024 with one of the same size
    assert parameters == {"resnext50": 22_979_904, "se-resnet50": 26_039_024}[name]
    assert len(built[1].stages) == 4
