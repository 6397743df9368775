"""Weights of SOLIDER and PASS by the names and shapes of their public code, in shrunk networks."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from reidbench import PretrainContext
from reidbench.errors import ReidbenchError
from reidbench.training import Backbone
from reidbench.training.weights.transformers import load_transformer
from reidbench_baseline import swin, weights
from reidbench_baseline.params import WeightsParams
from reidbench_baseline.swin import Swin
from reidbench_baseline.transformer_params import SwinParams, ViTTinyParams
from reidbench_baseline.vit import ViT, vit_tiny
from tests.support.contexts import make_context
from tests.support.golden import close, wave

pytestmark = pytest.mark.usefixtures("one_thread")
State = dict[str, torch.Tensor]
Shapes = dict[str, tuple[int, ...]]
SIZE, WINDOW, DIM, DEPTHS, HEADS = (16, 16), 2, 4, (2, 1), (1, 2)  # maps of 4x4 and 2x2
PARTS = 3


def layer(name: str, out: int, of: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (out, of), **({f"{name}.bias": (out,)} if bias else {})}


def norm(name: str, dim: int) -> Shapes:
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}


def solider_shapes() -> Shapes:
    """A listing of model/backbones/swin_transformer.py: mmcv's modules, with a controller for each stage."""
    shapes: Shapes = {"patch_embed.projection.weight": (DIM, 3, 4, 4), "patch_embed.projection.bias": (DIM,)}
    shapes |= norm("patch_embed.norm", DIM)
    for number, (depth, heads) in enumerate(zip(DEPTHS, HEADS, strict=True)):
        stage, dim = f"stages.{number}", DIM * 2**number
        for index in range(depth):
            block = f"{stage}.blocks.{index}"
            shapes |= norm(f"{block}.norm1", dim) | norm(f"{block}.norm2", dim)
            shapes |= {f"{block}.attn.w_msa.relative_position_bias_table": ((2 * WINDOW - 1) ** 2, heads)}
            shapes |= {f"{block}.attn.w_msa.relative_position_index": (WINDOW**2, WINDOW**2)}
            shapes |= layer(f"{block}.attn.w_msa.qkv", 3 * dim, dim) | layer(f"{block}.attn.w_msa.proj", dim, dim)
            shapes |= layer(f"{block}.ffn.layers.0.0", 4 * dim, dim) | layer(f"{block}.ffn.layers.1", dim, 4 * dim)
        if number < len(DEPTHS) - 1:
            shapes |= norm(f"{stage}.downsample.norm", 4 * dim)
            shapes |= layer(f"{stage}.downsample.reduction", 2 * dim, 4 * dim, bias=False)
        shapes |= norm(f"norm{number}", dim)
    for number in range(len(DEPTHS)):
        dim = DIM * 2 ** min(number + 1, len(DEPTHS) - 1)
        shapes |= layer(f"semantic_embed_w.{number}", dim, 2) | layer(f"semantic_embed_b.{number}", dim, 2)
    return shapes


def pass_shapes(grid: tuple[int, int], dim: int = 12, depth: int = 2, patch: int = 8) -> Shapes:
    """A listing of PASS/ours_vit.py without its convolution stem: separate tokens and positions."""
    shapes: Shapes = dict.fromkeys(("cls_token", "cls_pos"), (1, 1, dim))
    shapes |= {f"part_token{number}": (1, 1, dim) for number in (1, 2, 3)}
    shapes |= {f"part{number}_pos": (1, 1, dim) for number in (1, 2, 3)}
    shapes |= {"pos_embed": (1, grid[0] * grid[1], dim)}
    shapes |= {"patch_embed.proj.weight": (dim, 3, patch, patch), "patch_embed.proj.bias": (dim,)}
    for index in range(depth):
        block = f"blocks.{index}"
        shapes |= norm(f"{block}.norm1", dim) | norm(f"{block}.norm2", dim)
        shapes |= layer(f"{block}.attn.qkv", 3 * dim, dim) | layer(f"{block}.attn.proj", dim, dim)
        shapes |= layer(f"{block}.mlp.fc1", 4 * dim, dim) | layer(f"{block}.mlp.fc2", dim, 4 * dim)
    return shapes | norm("norm", dim)


def filled(shapes: Shapes) -> State:
    return {
        name: torch.zeros(shape, dtype=torch.long) if name.endswith("index") else wave(number + 1, *shape).float()
        for number, (name, shape) in enumerate(shapes.items())
    }


def checkpoint(state: State) -> dict[str, State]:
    """DINO's checkpoint, whose student must not be read; the student's names have one more prefix."""
    teacher = {f"backbone.{name}": tensor for name, tensor in state.items()} | {"head.mlp.0.weight": torch.ones(2, 2)}
    return {"student": {f"module.{name}": tensor + 1.0 for name, tensor in teacher.items()}, "teacher": teacher}


def small_swin(semantic: float | None = 0.2) -> Swin:
    return swin._build(SwinParams(window=WINDOW, semantic=semantic), SIZE, dim=DIM, depths=DEPTHS, heads=HEADS).eval()


def small_vit(size: tuple[int, int] = (32, 16), **params: object) -> ViT:
    given = {"dim": 12, "depth": 2, "heads": 3, "part_tokens": PARTS, **params}
    return vit_tiny(ViTTinyParams.model_validate(given), size).eval()


class Solider:
    """The network on plain tensors in float64, by mmcv's names: pads, shifts, merges and controls as in the code."""

    def __init__(self, state: State) -> None:
        self.state = {name: tensor.double() for name, tensor in state.items()}

    def linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        x = x @ self.state[f"{name}.weight"].t()
        return x + self.state[f"{name}.bias"] if f"{name}.bias" in self.state else x

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        scaled = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
        return scaled * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def attention(self, x: torch.Tensor, name: str, heads: int, shift: int) -> torch.Tensor:
        """Each pixel looks at those of its window that come from the same region of the map before the shift."""
        height, width, dim = x.shape
        table, found = self.state[f"{name}.relative_position_bias_table"], torch.zeros_like(x)
        qkv = self.linear(x, f"{name}.qkv").view(height, width, 3, heads, dim // heads)

        def window(pixel: tuple[int, int]) -> tuple[int, ...]:
            """Window and region of a pixel of the original map."""
            key: list[int] = []
            for at, side in zip(pixel, (height, width), strict=True):
                moved = (at - shift) % side
                key += [moved // WINDOW, int(moved >= side - shift) if moved >= side - WINDOW else 2]
            return tuple(key)

        pixels = [(y, x) for y in range(height) for x in range(width)]
        for pixel in pixels:
            seen = [other for other in pixels if window(other) == window(pixel)]
            for head in range(heads):
                query = qkv[*pixel, 0, head] / math.sqrt(dim // heads)
                biases = []
                for other in seen:
                    offsets = [
                        (one - shift) % side % WINDOW - (two - shift) % side % WINDOW + WINDOW - 1
                        for one, two, side in zip(pixel, other, (height, width), strict=True)
                    ]
                    biases.append(table[offsets[0] * (2 * WINDOW - 1) + offsets[1], head])
                scores = torch.stack([query @ qkv[*other, 1, head] for other in seen]) + torch.stack(biases)
                shares = torch.softmax(scores, 0)
                own = slice(head * (dim // heads), (head + 1) * (dim // heads))
                found[*pixel, own] = sum(
                    share * qkv[*other, 2, head] for share, other in zip(shares, seen, strict=True)
                )
        return self.linear(found, f"{name}.proj")

    def merge(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """Four neighbours of each channel together, row by row, as torch's unfold."""
        height, width, dim = x.shape
        patches = F.unfold(x.permute(2, 0, 1)[None], 2, stride=2)[0].t().view(height // 2, width // 2, 4 * dim)
        return self.linear(self.norm(patches, f"{name}.norm"), f"{name}.reduction")

    def vector(self, image: torch.Tensor, weight: float) -> torch.Tensor:
        """One image [3, 16, 16] to [8]."""
        kernel, bias = (self.state[f"patch_embed.projection.{leaf}"] for leaf in ("weight", "bias"))
        x = self.norm(F.conv2d(image[None], kernel, bias, stride=4)[0].permute(1, 2, 0), "patch_embed.norm")
        for number, (depth, heads) in enumerate(zip(DEPTHS, HEADS, strict=True)):
            for index in range(depth):
                block = f"stages.{number}.blocks.{index}"
                attended = self.norm(x, f"{block}.norm1")
                x = x + self.attention(attended, f"{block}.attn.w_msa", heads, WINDOW // 2 if index % 2 else 0)
                hidden = F.gelu(self.linear(self.norm(x, f"{block}.norm2"), f"{block}.ffn.layers.0.0"))
                x = x + self.linear(hidden, f"{block}.ffn.layers.1")
            if number < len(DEPTHS) - 1:
                x = self.merge(x, f"stages.{number}.downsample")
                shares = torch.tensor([weight, 1 - weight], dtype=torch.float64)
                scale = self.linear(shares, f"semantic_embed_w.{number}")
                x = x * (1 + scale.exp()).log() + self.linear(shares, f"semantic_embed_b.{number}")
        return self.norm(x, f"norm{len(DEPTHS) - 1}").mean((0, 1))


def test_soliders_weights_give_its_features() -> None:
    """Every name of the listing is used or reported; features equal the network by mmcv's names."""
    state, ours = filled(solider_shapes()), small_swin()
    report = load_transformer(ours, checkpoint(state))
    assert (report.layout, report.share, report.foreign) == ("solider", 1.0, ())
    unused = {"head.mlp.0.weight", "norm0.weight", "norm0.bias"}
    unused |= {f"semantic_embed_{part}.1.{leaf}" for part in "wb" for leaf in ("weight", "bias")}
    unused |= {name for name in state if name.endswith("relative_position_index")}
    assert set(report.unexpected) == unused
    images = wave(99, 2, 3, *SIZE)
    expected = torch.stack([Solider(state).vector(image, 0.2) for image in images])
    close("vector", ours.double()(images).vector, expected, 1e-6)


def test_the_semantic_weight_changes_the_features() -> None:
    state, images = filled(solider_shapes()), wave(99, 1, 3, *SIZE)
    found = []
    for weight in (0.0, 1.0):
        ours = small_swin(weight)
        load_transformer(ours, state)
        close(f"weight {weight}", ours.double()(images).vector[0], Solider(state).vector(images[0], weight), 1e-6)
        found.append(ours(images).vector)
    assert not torch.allclose(*found, atol=1e-3)


def test_maps_are_padded_before_windows_shift() -> None:
    """A 3x3 map in windows of 2, shifted by one. Attention without queries takes the mean of what a pixel sees."""
    block = small_swin().layers[0].blocks[1].double()
    with torch.no_grad():
        for name, weight in block.attn.named_parameters():
            weight.zero_()
            if name in ("qkv.weight", "proj.weight"):
                weight[-DIM:].copy_(torch.eye(DIM))
    x = torch.arange(1.0, 10.0, dtype=torch.float64).view(1, 3, 3, 1).expand(-1, -1, -1, DIM)
    found = swin._padded_attention(block, x)[0, ..., 0]
    # Padded to 4x4 and moved by one: windows {5 6 8 9}, {4 7, pads}, {2 3, pads} and {1, pads}. The first row and
    # column and the pads are different regions. Moved before padding, 2 and 3 would be in different windows.
    means = torch.tensor([[1.0, 2.5, 2.5], [5.5, 7.0, 7.0], [5.5, 7.0, 7.0]], dtype=torch.float64)
    close("means of windows", found, means, 1e-12)


def test_the_controller_is_not_trained() -> None:
    ours = small_swin()
    assert {name.partition(".")[0] for name, one in ours.named_parameters() if not one.requires_grad} == {"controllers"}
    ours(torch.zeros(1, 3, *SIZE)).vector.sum().backward()
    assert [name for name, one in ours.named_parameters() if one.requires_grad and one.grad is None] == []
    assert not hasattr(small_swin(None), "controllers")


def test_wrong_files_name_the_option_and_change_nothing() -> None:
    """A network without the option, a missing tensor, and one of another shape."""
    state, ours = filled(solider_shapes()), small_swin(None)
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    with pytest.raises(ReidbenchError, match=r"4 unexpected, first controllers\.0\.scale\.weight.*set `semantic`"):
        load_transformer(ours, state)
    del state["stages.1.blocks.0.ffn.layers.1.bias"]
    with pytest.raises(ReidbenchError, match=r"1 missing, first layers\.1\.blocks\.0\.mlp\.fc2\.bias"):
        load_transformer(small_swin(), state)
    state = filled(solider_shapes()) | {"stages.0.downsample.reduction.weight": torch.zeros(3, 3)}
    with pytest.raises(ReidbenchError, match=r"layers\.1\.downsample\.reduction\.weight is \[3, 3\], the network has"):
        load_transformer(small_swin(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in ours.state_dict().items())
    parts = filled(pass_shapes((4, 2)))
    with pytest.raises(ReidbenchError, match="the file has 3 part tokens: set `part_tokens` of the backbone"):
        load_transformer(small_vit(part_tokens=0), parts)
    del parts["part2_pos"]
    with pytest.raises(ReidbenchError, match=r"1 missing, first part_positions; 2 unexpected, first part1_pos"):
        load_transformer(small_vit(), parts)


@pytest.mark.parametrize("fusion", ["cat", "mean"])
def test_passs_tokens_and_positions_are_its_codes(fusion: str) -> None:
    """Input of the blocks: CLS, three parts, patches, each with its position; vector: CLS and the mean of parts."""
    state, ours = filled(pass_shapes((4, 2))), small_vit(fusion=fusion)
    report = load_transformer(ours, checkpoint(state))
    assert (report.layout, report.share, report.unexpected) == ("pass", 1.0, ("head.mlp.0.weight",))
    images = wave(98, 2, 3, 32, 16).float()
    patches = F.conv2d(images, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=8)
    own = [state["cls_token"] + state["cls_pos"]]
    own += [state[f"part_token{number}"] + state[f"part{number}_pos"] for number in (1, 2, 3)]
    tokens = [*(one.expand(2, -1, -1) for one in own), patches.flatten(2).transpose(1, 2) + state["pos_embed"]]
    found = ours.tokens(images)
    close("tokens", found, torch.cat(tokens, 1), 1e-5)
    for block in ours.blocks:
        found = block(found)
    found = ours.norm(found)
    whole, mean = found[:, 0], (found[:, 1] + found[:, 2] + found[:, 3]) / 3
    features = ours(images)
    expected = torch.cat((whole, mean), 1) if fusion == "cat" else (whole + mean) / 2
    close("vector", features.vector, expected, 1e-5)
    patch = found[:, 4 + 5]
    expected = torch.cat((patch, mean), 1) if fusion == "cat" else (patch + mean) / 2
    close("a patch", features.map[:, :, 2, 1], expected, 1e-5)
    assert features.vector.shape[1] == features.map.shape[1] == ours.dim


def test_passs_positions_fit_another_size() -> None:
    """Patches are resampled; the positions of CLS and parts stay."""
    state, ours = filled(pass_shapes((4, 2))), small_vit((64, 16))
    load_transformer(ours, state, source_grid=(4, 2))
    assert torch.equal(ours.pos_embed[:, :1], state["cls_pos"])
    assert torch.equal(ours.part_positions, torch.cat([state[f"part{number}_pos"] for number in (1, 2, 3)], 1))
    rows = state["pos_embed"].view(4, 2, 12)
    expected = 0.75 * rows[0, 0] + 0.25 * rows[1, 0]  # the second of eight rows is a quarter below the first of four
    close("second row", ours.pos_embed[0, 1 + 2], expected, 1e-5)


def test_part_tokens_exclude_methods_that_count_patches() -> None:
    assert ViTTinyParams(part_tokens=3).capabilities() == frozenset()
    with pytest.raises(ValueError, match="fusion is for a network with part_tokens"):
        ViTTinyParams(fusion="mean")


@pytest.mark.parametrize("kind", ["solider", "pass"])
def test_the_pretrainer_reads_them(kind: str, tmp_path: Path) -> None:
    """`labels: none` leaves no word in the protocol column; without it the weights are of unknown origin."""
    shapes = solider_shapes() if kind == "solider" else pass_shapes((4, 2))
    torch.save(checkpoint(filled(shapes)), tmp_path / "checkpoint.pth")
    params = WeightsParams.model_validate({"file": tmp_path / "checkpoint.pth", "labels": "none"})
    assert params.supervision() == frozenset()
    assert WeightsParams(file=tmp_path / "checkpoint.pth").supervision() == {"unknown pre-training"}

    def backbone() -> Backbone:
        return small_swin() if kind == "solider" else small_vit()

    ctx, _ = make_context(PretrainContext, tmp_path / "out", params, pool=None, backbone=backbone)
    found = weights.pretrain(ctx)
    assert f'"layout": "{kind}"' in (tmp_path / "out" / "weights-report.json").read_text()
    expected = filled(shapes)[f"norm{len(DEPTHS) - 1}.bias" if kind == "solider" else "norm.bias"]
    assert torch.equal(dict(found.named_parameters())["norm.bias"], expected)
