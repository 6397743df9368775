"""CLIP's encoders: names of the public state dict, networks written out in float64, and refused files."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from reidbench.errors import ReidbenchError
from reidbench.registry.plugins import Registry
from reidbench.training.weights.artifacts import load_backbone, save_backbone
from reidbench_clip import weights
from reidbench_clip.encoders import ClipViT, TextEncoder, clip_vit_tiny
from reidbench_clip.params import ClipViTTinyParams
from tests.support.golden import close, wave

pytestmark = pytest.mark.usefixtures("one_thread")
State = dict[str, torch.Tensor]
Shapes = dict[str, tuple[int, ...]]
DIM, DEPTH, HEADS, SHARED, PATCH = 8, 2, 2, 6, 4
TEXT_DIM, TEXT_DEPTH, TEXT_HEADS, TOKENS = 8, 2, 2, 4
VOCABULARY, CONTEXT = 49408, 77
# The whole sentence by the byte-pair encoding of OpenAI's tokeniser, run on its published vocabulary.
SENTENCE = [49406, 320, 1125, 539, 320, 343, 343, 343, 343, 2533, 269, 49407]


def block_shapes(name: str, dim: int) -> Shapes:
    shapes: Shapes = {f"{name}.attn.in_proj_weight": (3 * dim, dim), f"{name}.attn.in_proj_bias": (3 * dim,)}
    layers = {"attn.out_proj": (dim, dim), "mlp.c_fc": (4 * dim, dim), "mlp.c_proj": (dim, 4 * dim)}
    layers |= {"ln_1": (dim,), "ln_2": (dim,)}
    for layer, shape in layers.items():
        shapes |= {f"{name}.{layer}.weight": shape, f"{name}.{layer}.bias": shape[:1]}
    return shapes


def clip_shapes(patches: int, vocabulary: int = VOCABULARY) -> Shapes:
    """A listing of clip/model.py: the image encoder below `visual.`, the text encoder next to it."""
    shapes: Shapes = {"visual.class_embedding": (DIM,), "visual.positional_embedding": (1 + patches, DIM)}
    shapes |= {"visual.conv1.weight": (DIM, 3, PATCH, PATCH), "visual.proj": (DIM, SHARED)}
    shapes |= {f"visual.{name}.{leaf}": (DIM,) for name in ("ln_pre", "ln_post") for leaf in ("weight", "bias")}
    for index in range(DEPTH):
        shapes |= block_shapes(f"visual.transformer.resblocks.{index}", DIM)
    for index in range(TEXT_DEPTH):
        shapes |= block_shapes(f"transformer.resblocks.{index}", TEXT_DIM)
    shapes |= {"token_embedding.weight": (vocabulary, TEXT_DIM), "positional_embedding": (CONTEXT, TEXT_DIM)}
    shapes |= {"ln_final.weight": (TEXT_DIM,), "ln_final.bias": (TEXT_DIM,)}
    return shapes | {"text_projection": (TEXT_DIM, SHARED), "logit_scale": ()}


def filled(shapes: Shapes) -> State:
    return {
        name: wave(number + 1, *(shape or (1,))).reshape(shape).float() for number, (name, shape) in
        enumerate(shapes.items())
    }  # fmt: skip


def image_encoder(size: tuple[int, int] = (16, 8), file: Path | None = None, stride: int | None = None) -> ClipViT:
    params = ClipViTTinyParams(
        patch=PATCH, stride=stride, dim=DIM, depth=DEPTH, heads=HEADS, shared=SHARED, weights_file=file
    )
    return clip_vit_tiny(params, size).eval()


def text_encoder() -> TextEncoder:
    return TextEncoder(TEXT_DIM, TEXT_DEPTH, TEXT_HEADS, SHARED, TOKENS)


class Official:
    """Both transformers on plain tensors in float64, by OpenAI's names."""

    def __init__(self, state: State) -> None:
        self.state = {name: tensor.double() for name, tensor in state.items()}

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        scaled = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
        return scaled * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ self.state[f"{name}.weight"].t() + self.state[f"{name}.bias"]

    def block(self, x: torch.Tensor, name: str, heads: int, causal: bool) -> torch.Tensor:
        """One image or sentence [N, dim]; each head by softmax(q k^T / sqrt(d)) v."""
        weights, width = self.state, x.shape[1] // heads
        qkv = self.norm(x, f"{name}.ln_1") @ weights[f"{name}.attn.in_proj_weight"].t()
        query, key, value = (qkv + weights[f"{name}.attn.in_proj_bias"]).chunk(3, dim=1)
        mixed = []
        for head in range(heads):
            own = slice(head * width, (head + 1) * width)
            scores = query[:, own] @ key[:, own].t() / math.sqrt(width)
            if causal:
                scores = scores + torch.full_like(scores, -torch.inf).triu(1)
            mixed.append(scores.softmax(1) @ value[:, own])
        x = (
            x
            + torch.cat(mixed, 1) @ weights[f"{name}.attn.out_proj.weight"].t()
            + weights[f"{name}.attn.out_proj.bias"]
        )
        hidden = (
            self.norm(x, f"{name}.ln_2") @ weights[f"{name}.mlp.c_fc.weight"].t() + weights[f"{name}.mlp.c_fc.bias"]
        )
        hidden = hidden / (1 + (-1.702 * hidden).exp())
        return x + hidden @ weights[f"{name}.mlp.c_proj.weight"].t() + weights[f"{name}.mlp.c_proj.bias"]

    def image(self, image: torch.Tensor, stride: int = PATCH) -> list[torch.Tensor]:
        """The class token before the last block, after it and the norm, and projected."""
        kernel = self.state["visual.conv1.weight"].flatten(1)
        tokens = [self.state["visual.class_embedding"]]
        for top in range(0, image.shape[1] - PATCH + 1, stride):
            for left in range(0, image.shape[2] - PATCH + 1, stride):
                tokens.append(kernel @ image[:, top : top + PATCH, left : left + PATCH].flatten())
        x = self.norm(torch.stack(tokens) + self.state["visual.positional_embedding"], "visual.ln_pre")
        before = x
        for index in range(DEPTH):
            before, x = x, self.block(x, f"visual.transformer.resblocks.{index}", HEADS, causal=False)
        final = self.norm(x, "visual.ln_post")[0]
        return [before[0], final, final @ self.state["visual.proj"]]

    def text(self, learned: torch.Tensor) -> torch.Tensor:
        """The padded sentence of 77 tokens, with learned ones instead of the four X, read at its largest id."""
        ids = torch.tensor(SENTENCE + [0] * (CONTEXT - len(SENTENCE)))
        x = self.state["token_embedding.weight"][ids].clone()
        x[[place for place, one in enumerate(SENTENCE) if one == 343]] = learned
        x = x + self.state["positional_embedding"]
        for index in range(TEXT_DEPTH):
            x = self.block(x, f"transformer.resblocks.{index}", TEXT_HEADS, causal=True)
        return self.norm(x, "ln_final")[int(ids.argmax())] @ self.state["text_projection"]


@pytest.fixture(scope="module")
def state() -> State:
    """A square grid of 4x4 patches."""
    return filled(clip_shapes(16))


def test_the_image_encoder_is_clips(state: State) -> None:
    ours = image_encoder((16, 16))
    weights.load_image_encoder(ours, state, "clip.safetensors")
    images = wave(90, 2, 3, 16, 16)
    found = ours.double().encode(images)
    for number, vector in enumerate(found):
        expected = torch.stack([Official(state).image(image)[number] for image in images])
        close(f"vector {number}", vector, expected, 1e-9)
    features = ours(images)
    assert torch.equal(features.vector, found.final)
    assert features.map.shape == (2, DIM, 4, 4)


def test_overlapping_patches_and_a_files_own_grid(state: State) -> None:
    """A file with 7x3 positions, which are not a square, fits patches of 4 in steps of 2 at 16x8 as it is."""
    tall = filled(clip_shapes(21, vocabulary=1))
    ours = image_encoder((16, 8), stride=2)
    assert ours.grid == (7, 3)
    weights.load_image_encoder(ours, tall, "clip.safetensors")
    images = wave(91, 1, 3, 16, 8)
    close("projected", ours.double().encode(images).projected[0], Official(tall).image(images[0], 2)[2], 1e-9)
    with pytest.raises(ReidbenchError, match=r"pos_embed is \[1, 22, 8\], the network has \[1, 9, 8\]"):
        weights.load_image_encoder(image_encoder((16, 8)), tall, "clip.safetensors")


def test_square_positions_are_resampled(state: State) -> None:
    """4x4 to 8x4: columns stay, rows are interpolated linearly; the class token's position stays."""
    ours = image_encoder((32, 16))
    weights.load_image_encoder(ours, state, "clip.safetensors")
    assert ours.grid == (8, 4)
    positions = state["visual.positional_embedding"]
    assert torch.equal(ours.pos_embed[0, 0], positions[0])
    rows = positions[1:].view(4, 4, DIM)
    close("row 1, column 2", ours.pos_embed[0, 1 + 4 + 2], 0.75 * rows[0, 2] + 0.25 * rows[1, 2], 1e-5)
    close("row 0, column 3", ours.pos_embed[0, 1 + 3], rows[0, 3], 1e-6)


def test_the_text_encoder_is_clips_without_padding(state: State) -> None:
    """Features of twelve tokens equal those of the padded sentence of 77."""
    ours = text_encoder()
    weights.load_text_encoder(ours, state, "clip.safetensors", TOKENS)
    learned = wave(92, 3, TOKENS, TEXT_DIM)
    expected = torch.stack([Official(state).text(one) for one in learned])
    close("texts", ours.double()(learned), expected, 1e-9)
    assert not any(one.requires_grad for one in ours.parameters())


def test_the_templates_tokens_are_the_sentences() -> None:
    """Without the four X between them."""
    assert [*weights.BEFORE, 343, 343, 343, 343, *weights.AFTER] == SENTENCE


def test_files_are_read_through_the_component(state: State, tmp_path: Path, registry: Registry) -> None:
    """A file without declared labels is of unknown pre-training; half precision is converted."""
    file = tmp_path / "clip.safetensors"
    save_file({name: tensor.half() for name, tensor in state.items() if "token_embedding" not in name}, file)
    ours = image_encoder((16, 16), file)
    assert ours.projection.dtype == torch.float32
    assert torch.equal(ours.projection, state["visual.proj"].half().float())
    component = registry.get("backbone", "clip-vit-tiny")
    params = component.params(weights_file=file)
    assert component.capabilities_with(params) == {"tokens", "clip:projection"}
    assert params.supervision() == {"unknown pre-training"}
    assert component.params(weights_file=file, labels="web caption labels").supervision() == {"web caption labels"}


def test_wrong_files_are_refused_by_name(state: State) -> None:
    image, text = image_encoder((16, 16)), text_encoder()
    with pytest.raises(ReidbenchError, match=r"a\.pt: not a state dict of CLIP with a ViT: visual\.class_embedding"):
        weights.load_image_encoder(image, {"layer1.0.weight": torch.zeros(3)}, "a.pt")
    with pytest.raises(ReidbenchError, match=r"a\.pt: not a state dict of CLIP's text encoder: token_embedding"):
        weights.load_text_encoder(text, {"ln_final.weight": torch.zeros(3)}, "a.pt", TOKENS)
    less = {name: tensor for name, tensor in state.items() if name != "visual.transformer.resblocks.1.mlp.c_fc.bias"}
    with pytest.raises(ReidbenchError, match=r"1 of \d+ tensors are missing .*: blocks\.1\.fc1\.bias"):
        weights.load_image_encoder(image, less, "a.pt")
    more = {**state, **filled(block_shapes("visual.transformer.resblocks.2", DIM))}
    with pytest.raises(ReidbenchError, match=r"12 tensors belong to a different network: +blocks\.2\."):
        weights.load_image_encoder(image, more, "a.pt")
    wide = {**state, "text_projection": torch.zeros(TEXT_DIM, SHARED + 1)}
    with pytest.raises(ReidbenchError, match=r"projection is \[8, 7\], the network has \[8, 6\]"):
        weights.load_text_encoder(text, wide, "a.pt", TOKENS)


def test_sizes_that_patches_do_not_fit_are_refused() -> None:
    with pytest.raises(ReidbenchError, match=r"patches of 4 pixels do not fit an image of 18x8: .* multiples of 4"):
        image_encoder((18, 8))
    with pytest.raises(ReidbenchError, match="do not fit an image of 16x9"):
        image_encoder()(torch.zeros(1, 3, 16, 9))
    with pytest.raises(ValueError, match="stride 9 is larger than patch 8"):
        ClipViTTinyParams(stride=9)
    with pytest.raises(ValueError, match="dim 48 is not divisible by heads 5"):
        ClipViTTinyParams(heads=5)


def test_a_saved_encoder_comes_back(tmp_path: Path) -> None:
    network = image_encoder()
    network.spec = {"use": "clip-vit-tiny", "params": {}, "image_size": [16, 8]}
    save_backbone(tmp_path, network)
    again = load_backbone(tmp_path, lambda spec: image_encoder())
    images = wave(93, 1, 3, 16, 8).float()
    assert torch.equal(again.eval()(images).vector, network(images).vector)


def test_the_base_network_has_openais_sizes(registry: Registry) -> None:
    """ViT-B/16 of CLIP: 86,192,640 parameters of the image encoder at 224x224."""
    component = registry.get("backbone", "clip-vit-base")
    with torch.device("meta"):
        network = component.load()(component.params(), (224, 224))
    assert sum(weight.numel() for weight in network.parameters()) == 86_192_640
    assert (network.dim, network.shared, network.grid) == (768, 512, (14, 14))
