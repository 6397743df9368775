"""GCL's networks: parameter counts, shapes, layers and slices, as in the released code."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from reidbench.errors import DataError
from reidbench_gcl.generator.decoder import AdaIN, Decoder, StyledResidual, deal
from reidbench_gcl.generator.discriminator import Discriminator
from reidbench_gcl.generator.layers import Residual, SampleNorm, convolution
from reidbench_gcl.generator.params import GeneratorParams
from reidbench_gcl.generator.structure_encoder import StructureEncoder, code_size
from reidbench_gcl.generator.synthesis import Generator

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL: dict[str, Any] = {"dim": 2, "mlp": 8, "critic_dim": 4, "dilations": (1, 2, 3), "critic_scales": 2}
FEAT = 32  # length of the small appearance codes: 8 channels, 4 stripes


def small(**params: Any) -> Generator:
    return Generator(GeneratorParams(**{**SMALL, **params}), FEAT, (32, 16))


def count(*networks: nn.Module) -> int:
    return sum(weight.numel() for network in networks for weight in network.parameters())


# ---------------------------------------------------------------------- at full size
def test_defaults_are_the_papers() -> None:
    params = GeneratorParams()
    assert (params.dim, params.blocks, params.mlp, params.dilations) == (16, 4, 512, (3, 6, 9))
    assert (params.critic_dim, params.critic_blocks, params.critic_scales) == (32, 4, 3)
    assert (params.adversarial, params.feat_pair, params.slices) == ("lsgan", "code", "code")
    assert (params.adversarial_weight, params.image_weight, params.cycle_weight, params.feat_weight) == (1, 5, 5, 5)
    assert (params.r1_weight, params.lr_generator, params.lr_critic, params.weight_decay) == (0.01, 1e-4, 1e-4, 5e-4)
    assert params.betas == (0.0, 0.999)


def test_structure_encoder_at_full_size() -> None:
    """1x1x256x128 to 1x128x64x32 with 380,544 parameters, part by part."""
    with torch.device("meta"):
        encoder = StructureEncoder(GeneratorParams())
        assert encoder(torch.empty(1, 1, 256, 128)).shape == (1, 128, 64, 32)
    assert count(encoder) == 380_544
    # by hand: 160 + 4,640 + 9,248 + 18,496; 8 x 36,928; 2,080 + 3 x 11,328 + 16,512
    assert [count(part) for part in (encoder.stem, encoder.blocks, encoder.pyramid)] == [32_544, 295_424, 52_576]


def test_decoder_at_full_size() -> None:
    """13,000,131 parameters, of which the eight MLPs have 11,544,576."""
    with torch.device("meta"):
        decoder = Decoder(GeneratorParams(), 8192)
        assert decoder(torch.empty(2, 128, 64, 32), torch.empty(2, 8192)).shape == (2, 3, 256, 128)
    assert count(decoder) == 13_000_131
    assert count(decoder.gammas, decoder.betas) == 11_544_576
    assert [[layer.out_features for layer in mlp if isinstance(layer, nn.Linear)] for mlp in decoder.gammas] == [
        [512, 512, 256]
    ] * 4
    assert decoder.gammas[0][0].in_features == 2048


def test_discriminator_at_full_size() -> None:
    """1,025,571 parameters, a third in each scale; maps of 64x32, 32x16 and 16x8."""
    with torch.device("meta"):
        discriminator = Discriminator(GeneratorParams())
        maps = discriminator(torch.empty(2, 3, 256, 128))
    assert [tuple(scores.shape) for scores in maps] == [(2, 1, 64, 32), (2, 1, 32, 16), (2, 1, 16, 8)]
    assert count(discriminator) == 1_025_571
    assert [count(critic) for critic in discriminator.critics] == [341_857] * 3


def test_weights_at_the_start() -> None:
    """Kaiming normal (fan in, a = 0) in the generator, N(0, 0.02) in the discriminator, no bias anywhere."""
    generator = Generator(GeneratorParams(dim=8, mlp=256), 1024, (64, 64))
    discriminator = Discriminator(GeneratorParams())
    for network in (generator, discriminator):
        layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
        assert all(not layer.bias.any() for layer in layers)
        for layer in layers:
            if layer.weight.numel() > 9000:
                kaiming = math.sqrt(2 / layer.weight[0].numel())
                wanted = 0.02 if network is discriminator else kaiming
                assert layer.weight.std().item() == pytest.approx(wanted, rel=0.04)


# ---------------------------------------------------------------------- small images
def test_small_images_take_small_dilations() -> None:
    params = GeneratorParams(dim=8, mlp=64, critic_dim=16, dilations=(1, 2, 3))
    generator, discriminator = Generator(params, 448, (64, 32)), Discriminator(params)
    code = generator(torch.ones(2, 1, 64, 32))
    assert code.shape == (2, 64, 16, 8)
    images = generator(code=code, feat=torch.randn(2, 448))
    assert images.shape == (2, 3, 64, 32)
    assert [scores.shape[2:] for scores in discriminator(images)] == [(16, 8), (8, 4), (4, 2)]


@pytest.mark.parametrize(
    ("size", "params", "sentence"),
    [
        ((64, 32), {}, r"dilations \[3, 6, 9\] do not fit 64x32 .* 16x8, .* at most 7; use for example \[1, 2, 3\]"),
        ((40, 40), {}, r"10x10|do not fit"),
        ((12, 16), {"dilations": (1, 2, 3)}, r"at most 2; use for example \[1, 2, 2\]"),
        ((62, 32), {"dilations": (1, 2, 3)}, "multiples of 4, not 62x32"),
        ((4, 4), {"dilations": (1, 1, 1)}, "at least 8x8, not 4x4"),
    ],
)
def test_sizes_that_reflection_cannot_pad(size: tuple[int, int], params: dict[str, Any], sentence: str) -> None:
    if size == (40, 40):  # the smallest square that the paper's dilations fit
        assert code_size(GeneratorParams(), size) == (10, 10)
        return
    with pytest.raises(DataError, match=sentence):
        Generator(GeneratorParams(dim=2, mlp=4, **params), FEAT, size)


def test_the_largest_dilation_that_is_allowed_runs() -> None:
    """7 works on a code of 16x8, as the message says; torch itself rejects 8."""
    encoder = StructureEncoder(GeneratorParams(dim=2, dilations=(1, 2, 7)))
    assert encoder(torch.ones(1, 1, 64, 32)).shape == (1, 16, 16, 8)
    with pytest.raises(RuntimeError):
        StructureEncoder(GeneratorParams(dim=2, dilations=(1, 2, 8)))(torch.ones(1, 1, 64, 32))


def test_scales_that_do_not_fit() -> None:
    images = torch.zeros(1, 3, 32, 17)
    assert len(Discriminator(GeneratorParams(critic_dim=2, critic_scales=3))(images)) == 3  # 17, 9, 5
    with pytest.raises(DataError, match="critic_scales: 4 do not fit 32x17 images, at most 3 do"):
        Discriminator(GeneratorParams(critic_dim=2, critic_scales=4))(images)
    with pytest.raises(DataError, match="critic_scales: 3 do not fit 32x16 images, at most 2 do"):
        Discriminator(GeneratorParams(critic_dim=2))(images[..., :16])


def test_codes_that_cannot_be_dealt() -> None:
    with pytest.raises(DataError, match="appearance code of 32 cannot be divided among 3 blocks"):
        small(blocks=3)
    with pytest.raises(ValidationError, match="four body stripes"):
        GeneratorParams(blocks=8, slices="stripe")
    with pytest.raises(ValidationError, match="each dilation must be at least 1"):
        GeneratorParams(dilations=(0, 1, 2))
    with pytest.raises(ValidationError, match="each beta"):
        GeneratorParams(betas=(0.5, 1.0))
    with pytest.raises(DataError, match="structure map or a structure code"):
        small()(feat=torch.zeros(1, FEAT))


# ---------------------------------------------------------------------- layers
def test_adain_against_torch() -> None:
    """Instance norm of torch, then gamma * x + beta: values and gradients."""
    x, gamma, beta = torch.randn(2, 3, 5, 4) * 3 + 1, torch.randn(2, 3), torch.randn(2, 3)
    results = []
    for ours in (True, False):
        inputs = [tensor.clone().requires_grad_() for tensor in (x, gamma, beta)]
        if ours:
            y = AdaIN()(*inputs)
        else:
            y = F.instance_norm(inputs[0]) * inputs[1][..., None, None] + inputs[2][..., None, None]
        y.pow(3).sum().backward()
        results.append((y, *(tensor.grad for tensor in inputs)))
    for mine, theirs in zip(*results, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-4)
    assert torch.allclose(results[0][0].mean((2, 3)), beta, atol=1e-5)


def test_sample_norm_by_its_formula() -> None:
    """(x - mean) / (unbiased std + eps) over channels and pixels of each sample; gamma starts in 0..1, beta at 0."""
    norm = SampleNorm(6, eps=0.5)
    assert (norm.gamma >= 0).all()
    assert (norm.gamma <= 1).all()
    assert not norm.beta.any()
    norm.beta.data = torch.randn(6)
    x = torch.randn(3, 6, 4, 2) * 2 + 3
    flat = x.flatten(1)
    expected = (flat - flat.mean(1, keepdim=True)) / (flat.std(1, keepdim=True, unbiased=True) + 0.5)
    expected = expected.view_as(x) * norm.gamma.view(1, 6, 1, 1) + norm.beta.view(1, 6, 1, 1)
    assert torch.allclose(norm(x), expected, atol=1e-5)


def test_nothing_after_the_sum() -> None:
    """A residual block whose second convolution gives 0 is the identity, for negative values too."""
    block, x = Residual(4), torch.randn(2, 4, 6, 6)
    block.second.convolution.weight.data.zero_()
    block.second.convolution.bias.data.zero_()
    assert torch.equal(block(x), x)
    styled = StyledResidual(4)
    styled.convolutions[1].weight.data.zero_()
    styled.convolutions[1].bias.data.zero_()
    assert torch.equal(styled(x, torch.randn(2, 8), torch.zeros(2, 8)), x)


def test_convolutions_pad_by_reflection() -> None:
    layer = convolution(1, 1, 3, dilation=2)
    x = torch.randn(1, 1, 6, 5)
    expected = F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), layer.weight, layer.bias, dilation=2)
    assert torch.allclose(layer(x), expected, atol=1e-6)
    assert convolution(1, 1, 3, stride=2)(x).shape == (1, 1, 3, 3)


def test_structure_code_is_normed_and_not_cut() -> None:
    """The code ends in an instance norm without activation: mean 0 and variance 1 on each map."""
    code = small()(torch.randn(3, 1, 32, 16))
    assert torch.allclose(code.mean((2, 3)), torch.zeros(3, 16), atol=1e-5)
    assert torch.allclose(code.var((2, 3), unbiased=False), torch.ones(3, 16), atol=1e-2)


def test_smaller_scales_see_averages_without_padding() -> None:
    """A flat image stays flat at every scale, borders too: with equal weights all critics give equal scores."""
    discriminator = Discriminator(GeneratorParams(critic_dim=4, critic_scales=3))
    for critic in discriminator.critics:
        critic.load_state_dict(discriminator.critics[0].state_dict())
    maps = discriminator(torch.full((1, 3, 48, 24), 0.7))
    first = maps[0][0, 0, 0, 0]
    assert first != 0
    assert all(torch.allclose(scores, first.expand_as(scores), rtol=1e-4) for scores in maps)


# ---------------------------------------------------------------------- appearance
def test_appearance_steers_the_decoder() -> None:
    """Another person's code changes the image; the structure changes no gamma and no beta."""
    generator = small().eval()
    structure, feat = torch.randn(3, 1, 32, 16), torch.randn(3, FEAT)
    order = torch.tensor([1, 2, 0])
    given: list[tuple[torch.Tensor, torch.Tensor]] = []
    norms = [module for module in generator.modules() if isinstance(module, AdaIN)]
    for norm in norms:
        norm.register_forward_pre_hook(lambda module, inputs: given.append(inputs[1:]))
    plain = generator(structure, feat)
    assert (generator(structure, feat[order]) - plain).abs().mean() > 0.01
    assert (generator(structure[order], feat) - plain).abs().mean() > 0.01
    assert len(norms) == 8
    assert len(given) == 3 * 8
    first, turned = given[:8], given[16:]
    assert all(torch.equal(a[i], b[i]) for a, b in zip(first, turned, strict=True) for i in (0, 1))


def test_two_norms_in_each_block_one_slice_each() -> None:
    """Slice k moves block k's scales and shifts and no other's; the first half goes to the first norm."""
    decoder = small().decoder
    assert [sum(isinstance(part, AdaIN) for part in block.modules()) for block in decoder.blocks] == [2, 2, 2, 2]
    feat = torch.randn(1, FEAT)
    other = feat.clone()
    other[:, 16:24] += 1  # the third of four slices
    before, after = decoder.style(feat), decoder.style(other)
    moved = [[not torch.equal(a[i], b[i]) for i in (0, 1)] for a, b in zip(before, after, strict=True)]
    assert moved == [[False, False], [False, False], [True, True], [False, False]]
    block, x = decoder.blocks[0], torch.randn(1, 16, 8, 4)
    gamma, beta = torch.randn(1, 32), torch.randn(1, 32)
    y = F.leaky_relu(AdaIN()(block.convolutions[0](x), gamma[:, :16], beta[:, :16]), 0.2)
    expected = x + AdaIN()(block.convolutions[1](y), gamma[:, 16:], beta[:, 16:])
    assert torch.allclose(block(x, gamma, beta), expected, atol=1e-5)


def test_layout_of_slices() -> None:
    """As released a slice is a quarter of the channels with all stripes; `stripe` is the named deviation."""
    pooled = torch.arange(2 * 8 * 4.0).view(2, 8, 4, 1)  # what adaptive pooling to 4x1 gives
    feat = pooled.flatten(1)
    code, stripe = deal(feat, 4, "code"), deal(feat, 4, "stripe")
    for k in range(4):
        assert torch.equal(code[k], feat.view(2, 8, 4)[:, 2 * k : 2 * k + 2].reshape(2, 8))
        assert torch.equal(stripe[k], pooled[:, :, k, 0])
    assert torch.equal(code[0][0], torch.tensor([0.0, 1, 2, 3, 4, 5, 6, 7]))
    assert torch.equal(stripe[0][0], torch.tensor([0.0, 4, 8, 12, 16, 20, 24, 28]))
    assert torch.equal(torch.cat(deal(feat, 2, "stripe"), 1), torch.cat(stripe, 1))
    first, second = (small(slices=form).decoder for form in ("code", "stripe"))
    second.load_state_dict(first.state_dict())
    inputs = torch.randn(2, 16, 8, 4), torch.randn(2, FEAT)
    assert not torch.allclose(first(*inputs), second(*inputs))


def test_output_has_no_bound() -> None:
    """Images are in the space of the embedder's mean and deviation, so no tanh limits them."""
    generator = small()
    generator.decoder.last[-1].bias.data.fill_(10)
    generator.decoder.last[-1].weight.data.mul_(0.01)
    images = generator(torch.ones(2, 1, 32, 16), torch.randn(2, FEAT))
    assert images.min() > 1
