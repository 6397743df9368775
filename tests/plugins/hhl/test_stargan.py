"""The camera StarGAN: counts, losses and files as in HHL's released code, on tinted stripes of 16x16 and by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from reidbench import PrepareContext
from reidbench.data import HiddenSplit, Sample, Split, read_market_folder
from reidbench.errors import DataError
from reidbench.testing import write_market_folder
from reidbench.training import stream
from reidbench_hhl import stargan
from reidbench_hhl.networks import Discriminator, Generator
from reidbench_hhl.params import StarGanParams
from tests.support.contexts import NEVER, Lines, check_resumes, make_context

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL: dict[str, Any] = {
    "channels": 4, "blocks": 1, "critic_channels": 4, "critic_layers": 3, "batch": 4, "steps": 23, "save_every": 5,
    "lr": 1e-3, "sheet": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """24 images of 16x16: 4 identities, 3 cameras, 2 images."""
    folder = write_market_folder(tmp_path_factory.mktemp("stargan") / "tiny", cameras=3, size=(16, 16))
    return read_market_folder(folder, name="tiny").train


def context(
    split: HiddenSplit, out: Path, *, die_after: int = NEVER, size: tuple[int, int] = (16, 16), **params: Any
) -> tuple[PrepareContext, Lines]:
    small = StarGanParams(**{**SMALL, **params})
    return make_context(PrepareContext, out, small, die_after=die_after, image_size=size, seed=3, split=split)


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=stream(seed, "pictures")) * 2 - 1


def test_defaults_are_the_papers() -> None:
    params = StarGanParams()
    assert (params.channels, params.blocks, params.critic_channels, params.critic_layers) == (64, 6, 64, 6)
    assert (params.batch, params.lr, params.betas, params.epochs, params.critic_steps) == (
        16,
        1e-4,
        (0.5, 0.999),
        200,
        5,
    )
    weights = params.camera_weight, params.cycle_weight, params.penalty_weight, params.identity_weight
    assert weights == (1, 10, 10, 0)


def test_layers_are_the_papers() -> None:
    """7x7, two halvings, six blocks, two upsamplings, 7x7; no bias, no reflection; logits from a (4, 2) kernel."""
    generator, critic = Generator(8), Discriminator((256, 128), 8)
    layers = [m for m in generator.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    assert [layer.out_channels for layer in layers] == [64, 128, *[256] * 13, 128, 64, 3]
    assert layers[0].weight.shape == (64, 3 + 8, 7, 7)  # one network for all cameras
    assert all(layer.bias is None and layer.padding_mode == "zeros" for layer in layers)
    norms = [m for m in generator.modules() if isinstance(m, torch.nn.InstanceNorm2d)]
    assert len(norms) == len(layers) - 1
    assert all(norm.affine and not norm.track_running_stats for norm in norms)
    widths = [m.out_channels for m in critic.body if isinstance(m, torch.nn.Conv2d)]
    assert widths == [64, 128, 256, 512, 1024, 2048]
    assert critic.camera.weight.shape == (8, 2048, 4, 2)
    assert not any("Norm" in type(module).__name__ for module in critic.modules())


def test_shapes_of_small_networks() -> None:
    images, cameras = pictures(2, 3, 64, 32), torch.tensor([0, 4])
    generator = Generator(5, 4, 1)
    assert generator(images, cameras).shape == (2, 3, 64, 32)
    assert (generator(images, cameras) - generator(images, cameras.flip(0))).abs().mean() > 1e-3  # a camera counts
    realness, logits = Discriminator((64, 32), 5, 4, 4)(images)
    assert (realness.shape, logits.shape) == ((2, 1, 4, 2), (2, 5))
    with pytest.raises(DataError, match="64x32 can be halved 5 times, not 6: lower `critic_layers`"):
        Discriminator((64, 32), 5)


def test_an_image_never_depends_on_its_batch() -> None:
    """Statistics are per image, in training and in evaluation mode."""
    generator = Generator(3, 4, 1)
    images, cameras = pictures(16, 3, 16, 16), torch.arange(16) % 3
    together = generator.train()(images, cameras)
    alone = torch.cat([generator(image[None], camera[None]) for image, camera in zip(images, cameras, strict=True)])
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.equal(generator.eval()(images, cameras), together)


def test_penalty_of_a_linear_critic_is_its_norm() -> None:
    """Gulrajani et al., equation 3: |w| = 1 gives 0, |w| = 3 gives 4, wherever the points are."""
    direction = pictures(3, 4, 4)
    direction = direction / direction.norm()
    images, fakes, alpha = pictures(5, 3, 4, 4), pictures(5, 3, 4, 4, seed=1), torch.rand(5, 1, 1, 1)
    for scale, expected in ((1, 0.0), (3, 4.0)):
        penalty = stargan.gradient_penalty(lambda z, s=scale: (s * z * direction).sum((1, 2, 3)), images, fakes, alpha)
        assert penalty.item() == pytest.approx(expected, abs=1e-5)


def test_penalty_is_taken_between_image_and_fake() -> None:
    """The gradient of D(z) = |z|^2 / 2 is z itself, so the value shows the points."""
    images, fakes, alpha = pictures(5, 3, 4, 4), pictures(5, 3, 4, 4, seed=1), torch.rand(5, 1, 1, 1)
    points = alpha * images + (1 - alpha) * fakes
    expected = (points.flatten(1).norm(dim=1) - 1).pow(2).mean()
    penalty = stargan.gradient_penalty(lambda z: z.pow(2).sum((1, 2, 3)) / 2, images, fakes, alpha)
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-5)
    weight = torch.ones(1, requires_grad=True)
    stargan.gradient_penalty(lambda z: weight * z.sum((1, 2, 3)), images, fakes, alpha).backward()
    # (|w| sqrt(48) - 1)^2 at w = 1 has the slope 2 (sqrt(48) - 1) sqrt(48): the critic is trained by it
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(2 * (48**0.5 - 1) * 48**0.5, rel=1e-4)


@pytest.mark.parametrize("identity", [0.0, 5.0])
def test_losses_are_their_terms(split: Split, tmp_path: Path, identity: float) -> None:
    """D: fake - real + camera + 10 penalty; G: -fake + camera + 10 cycle + the identity term if it has a weight."""
    ctx, _ = context(split.hide(), tmp_path, identity_weight=identity)
    run = stargan.StarGan(ctx)
    images, cameras, wanted = run.batch(0)
    loss, facts = run.critic_loss(images, cameras, wanted)
    expected = facts["fake"] - facts["real"] + facts["camera"] + 10 * facts["penalty"]
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    realness, logits = run.critic(images)
    assert facts["real"].item() == pytest.approx(realness.mean().item(), abs=1e-6)
    chosen = logits.log_softmax(1)[torch.arange(4), cameras]
    assert facts["camera"].item() == pytest.approx(-chosen.mean().item(), abs=1e-5)
    loss, facts = run.generator_loss(images, cameras, wanted)
    fakes = run.generator(images, wanted)
    cycle = (run.generator(fakes, cameras) - images).abs().mean()
    expected = -run.critic(fakes)[0].mean() + facts["generated_camera"] + 10 * cycle
    if identity:
        expected = expected + identity * (run.generator(images, cameras) - images).abs().mean()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-4)
    assert ("identity" in facts) == bool(identity)


def test_wanted_cameras_are_the_batchs_own_in_another_order(split: Split, tmp_path: Path) -> None:
    run = stargan.StarGan(context(split.hide(), tmp_path, batch=24)[0])
    images, cameras, wanted = run.batch(0)
    assert images.shape == (24, 3, 16, 16)
    assert images.abs().max() <= 1
    assert cameras.bincount().tolist() == wanted.bincount().tolist() == [8, 8, 8]
    assert not torch.equal(cameras, wanted)


def test_training_updates_both_networks_as_often_as_it_should(split: Split, tmp_path: Path) -> None:
    """The generator is updated floor(23 / 5) = 4 times, at the steps 5, 10, 15 and 20."""
    ctx, lines = context(split.hide(), tmp_path)
    run = stargan.StarGan(ctx)
    before = {name: tensor.clone() for name, tensor in run.generator.state_dict().items()}
    run.train()
    assert [line["generator_updates"] for line in lines] == [1, 1, 1, 1, 0]
    assert [line["steps"] for line in lines] == [5, 10, 15, 20, 23]
    # A convolution before a norm has no bias, so every weight must have moved.
    assert all(not torch.equal(before[name], tensor) for name, tensor in run.generator.state_dict().items())
    assert all(np.isfinite(list(line.values())).all() for line in lines)
    assert all(line["penalty"] > 0 for line in lines)


def test_passes_count_when_no_steps_are_given(split: Split, tmp_path: Path) -> None:
    """24 images in batches of 4 are 6 steps a pass."""
    assert stargan.StarGan(context(split.hide(), tmp_path, steps=None, epochs=3)[0]).total == 18


def test_files_are_all_images_in_all_cameras(split: Split, tmp_path: Path) -> None:
    """n x C files, own camera included, named by opaque ids; a second run gives the same."""
    hidden = split.hide()
    for name in ("first", "second"):
        stargan.prepare(context(hidden, tmp_path / name)[0])
    files = sorted(file.name for file in (tmp_path / "first").glob("*.jpg"))
    assert files == sorted(f"{i}_fake_{k}.jpg" for i in hidden.ids for k in (1, 2, 3))
    for file in (*files, "generator.safetensors", "styles.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_no_identity_is_read(split: Split, tmp_path: Path) -> None:
    """The generator is bit-identical with shuffled identities; with other cameras it is not."""
    shuffled = Split.of_columns(split.root, split.paths, split.pids[::-1].copy(), split.camids)
    moved = Split.of_columns(split.root, split.paths, split.pids, np.roll(split.camids, 1))
    states = []
    for name, given in (("as it is", split), ("shuffled", shuffled), ("moved", moved)):
        stargan.prepare(context(given.hide(), tmp_path / name)[0])
        states.append(load_file(tmp_path / name / "generator.safetensors"))
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_a_killed_training_goes_on_bit_identical(split: Split, tmp_path: Path) -> None:
    """The checkpoint is from the block before: 3 lines are logged before the kill."""
    hidden = split.hide()

    def made(out: Path, die_after: int) -> Any:
        return context(hidden, out, die_after=die_after, flip=0.5)

    _, lines = check_resumes(tmp_path, made, stargan.prepare, 3)
    assert [line["steps"] for line in lines[3:]] == [20, 23]
    assert (tmp_path / "cut" / "generator.safetensors").is_file()


@pytest.mark.slow
def test_training_makes_the_cycle_shorter(split: Split, tmp_path: Path) -> None:
    """The generator steps after each of the 100 critic steps; the slow test of styles checks a real training's 30 %."""
    ctx, lines = context(split.hide(), tmp_path, steps=100, save_every=20, critic_steps=1, enlarge=1.0, lr=2e-3)
    stargan.StarGan(ctx).train()
    assert lines[-1]["cycle"] < 0.8 * lines[0]["cycle"]


@pytest.mark.slow
def test_after_training_the_camera_decides_the_output(tmp_path: Path) -> None:
    """Outputs of two cameras differ by more than .02, in the direction of the cameras: one is darker."""
    draws = np.random.Generator(np.random.PCG64(0))
    rows = []
    for number in range(24):
        camera, stripes = number % 2, draws.integers(100, 156, (4, 3))
        picture = np.repeat(stripes + (60 if camera else -60), 4, axis=0)[:, None].repeat(16, axis=1)
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / f"{number}.png")
        rows.append(Sample(f"{number}.png", number // 2 + 1, camera))
    ctx, _ = context(
        Split(tmp_path, rows).hide(), tmp_path / "out", steps=150, save_every=50, critic_steps=1, enlarge=1.0, lr=2e-3
    )
    run = stargan.StarGan(ctx)
    run.train()
    styled = torch.from_numpy(run.fakes(np.arange(24))[:, :, 0]).float() / 127.5 - 1  # [N, cameras, H, W, 3]
    assert (styled[:, 0] - styled[:, 1]).abs().mean() > 0.02
    assert (styled[:, 1].mean((1, 2, 3)) > styled[:, 0].mean((1, 2, 3))).float().mean() > 0.9


def test_unknown_cameras_are_not_trained_on_and_still_get_fakes(split: Split, tmp_path: Path) -> None:
    camids = split.camids.copy()
    camids[:3] = -1
    given = Split.of_columns(split.root, split.paths, split.pids, camids).hide()
    ctx, _ = context(given, tmp_path)
    run = stargan.StarGan(ctx)
    assert (len(run.usable), run.cameras) == (21, [0, 1, 2])
    assert run.fakes(np.arange(24)).shape == (24, 3, 1, 16, 16, 3)


def test_labels_are_ranks_and_files_are_camera_numbers(split: Split, tmp_path: Path) -> None:
    """A set without its second camera has two domains, and files _1 and _3."""
    given = split.subset(np.flatnonzero(split.camids != 1)).hide()
    stargan.prepare(context(given, tmp_path)[0])
    assert sorted({file.stem.rpartition("_")[2] for file in tmp_path.glob("*.jpg")}) == ["1", "3"]


@pytest.mark.parametrize(
    ("change", "params", "message"),
    [
        (lambda s: s.subset(np.flatnonzero(s.camids == 0)), {}, "one camera has no other style"),
        (
            lambda s: Split.of_columns(s.root, s.paths, s.pids, np.full(24, -1)),
            {},
            "no camera of these images is known",
        ),
        (lambda s: s, {"batch": 25}, "a batch of 25 exceeds the 24 available"),
        (lambda s: s, {"critic_layers": 5}, "16x16 can be halved 4 times, not 5"),
        (lambda s: s, {"size": [12, 16]}, "12x16 can be halved 2 times, not 3"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    split: Split, tmp_path: Path, change: Any, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        stargan.StarGan(context(change(split).hide(), tmp_path, **params)[0])


def test_sizes_that_the_generator_cannot_halve(split: Split, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="which 18x16 does not allow: set `size`"):
        stargan.StarGan(context(split.hide(), tmp_path, size=(18, 16))[0])
    with pytest.raises(ValueError, match="multiples of 4"):
        StarGanParams(size=(18, 16))
