"""ARN (Li et al., CVPR Workshops 2018): graph, losses, groups and ablations by hand, and the adapter as a stage."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

import reidbench_arn
from reidbench import AdaptContext, Amount
from reidbench.components import load_attribute
from reidbench.data import Split, read_market_folder
from reidbench.errors import DataError, ReidbenchError
from reidbench.registry.plugins import load
from reidbench.testing import write_market_folder
from reidbench.training import Backbone, BackboneEmbedder, Embedder, Preprocess, Update, embed, stream
from reidbench.training.weights.artifacts import load_embedder, save_embedder
from reidbench_arn.adapt import _Run, adapt
from reidbench_arn.embedder import StageEmbedder, WholeEmbedder, starting_embedder
from reidbench_arn.fcn import FcnDecoder, FcnEncoder
from reidbench_arn.losses import (
    contrastive,
    cosine_difference,
    frobenius_difference,
    raw_difference,
    reconstruction,
    summed_reconstruction,
)
from reidbench_arn.network import ArnNetwork, Decoder
from reidbench_arn.params import PAPER_FORM, ArnParams
from reidbench_baseline.params import ResNetParams, TinyParams
from reidbench_baseline.resnet import resnet50, resnet_tiny
from tests.support.contexts import (
    NEVER,
    Lines,
    check_resumes,
    make_context,
    same,
    weights,
    with_workers_where_cut,
)

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (32, 16)
SMALL: dict[str, Any] = {
    "epochs": 2, "iterations": 2, "identities": 4, "images": 2, "target_images": 8,
    "lr_image": 1e-3, "lr_code": 1e-2, "lr_classifier": 2e-2,
}  # fmt: skip
ROWS: dict[str, tuple[str, ...]] = {
    "rec": ("reconstruction",),
    "rec+diff": ("reconstruction", "difference"),
    "class+ctrs+rec": ("class", "contrast", "reconstruction"),
    "all": ("class", "contrast", "reconstruction", "difference"),
    "source": ("class", "contrast"),
}


def backbone(seed: int = 7) -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = resnet_tiny(TinyParams(width=4), SIZE)
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": list(SIZE)}
    return network


def embedder(split: str = "last-stage") -> StageEmbedder | WholeEmbedder:
    torch.manual_seed(3)
    if split == "whole":
        return WholeEmbedder(backbone(), Preprocess(SIZE), 20)
    return StageEmbedder(backbone(), Preprocess(SIZE))


def network(split: str = "last-stage", **params: Any) -> ArnNetwork:
    """Return the network in train mode, without dropout."""
    made = ArnNetwork(embedder(split), 4, ArnParams(split=split, **{"dropout": 0.0, **params}), 0)
    made.groups()
    return made.train()


def images(name: str, count: int = 8) -> torch.Tensor:
    return torch.randn(count, 3, *SIZE, generator=stream(0, name))


LABELS = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])


def moved(module: nn.Module | None) -> float:
    """Return the largest gradient of a module's parameters, 0 without any."""
    assert module is not None
    return max((float(p.grad.abs().max()) for p in module.parameters() if p.grad is not None), default=0.0)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Split, Split]:
    """Train images of a source and of a target: 6 identities, 2 cameras, 3 images each."""
    made = []
    for seed, name in enumerate(("source", "target")):
        folder = write_market_folder(tmp_path_factory.mktemp("w") / name, identities=6, images=3, seed=seed)
        made.append(read_market_folder(folder, name=name).train)
    return made[0], made[1]


def context(
    worlds: tuple[Split, Split],
    out: Path,
    *,
    start: Embedder | None = None,
    seed: int = 0,
    die_after: int = NEVER,
    source: bool = True,
    **params: Any,
) -> tuple[AdaptContext, Lines]:
    return make_context(
        AdaptContext, out, ArnParams(**{**SMALL, **params}), die_after=die_after, image_size=SIZE, seed=seed,
        source=worlds[0] if source else None, target=worlds[1].hide(), backbone=backbone, start=start,
    )  # fmt: skip


# ---------------------------------------------------------------------- parameters
def test_defaults_are_the_papers() -> None:
    params = ArnParams()
    assert (params.contrast_weight, params.reconstruction_weight) == (0.01, 2.0)
    assert (params.lr_image, params.lr_code, params.lr_classifier) == (1e-7, 1e-3, 2e-3)
    assert params.losses == ROWS["all"]
    assert params.target == "feature"


def test_gamma_is_rescaled_to_the_length_of_the_code() -> None:
    """1500 is consistent only at d = 2048; at d = 64 it is 1.5. cos^2 has weight 1."""
    frobenius = ArnParams(difference="frobenius")
    assert frobenius.gamma_of(2048) == 1500
    assert frobenius.gamma_of(64) == pytest.approx(1.46, abs=0.01)
    assert ArnParams().gamma_of(64) == 1
    assert ArnParams(difference="frobenius", difference_weight=7.0).gamma_of(64) == 7
    assert ArnParams(difference="raw").gamma_of(64) == 1500


def test_published_numbers_stand_under_the_right_columns() -> None:
    """The paper's table: with Duke as target rank 1 is 60.2 and mAP 33.4; a popular summary swaps the two targets."""
    rows = [number for number in reidbench_arn.PAPER.published if "all losses" in number.row]
    found = {(number.task, number.metric): number.value for number in rows if number.metric in ("mAP", "cmc1")}
    assert found == {
        ("dukemtmc-reid->market1501", "mAP"): 0.394,
        ("dukemtmc-reid->market1501", "cmc1"): 0.703,
        ("market1501->dukemtmc-reid", "mAP"): 0.334,
        ("market1501->dukemtmc-reid", "cmc1"): 0.602,
    }


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"losses": ["class", "class"]}, "once"),
        ({"losses": []}, "at least 1"),
        ({"epochs": 3, "warmup_epochs": 3}, "warmup_epochs 3 must be less than epochs 3"),
        ({"losses": ["reconstruction"], "warmup_epochs": 1}, "the losses reconstruction train none of them"),
        ({"dim": 32}, "split: whole"),
        ({"encoder": "fcn"}, "encoder: fcn needs split: whole"),
        ({"codes": "pooled", "target": "image"}, "can reconstruct only the map of E_I"),
    ],
)
def test_impossible_parameters_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ArnParams(**params)


# ---------------------------------------------------------------------- contrastive loss (25)
def test_contrastive_by_hand() -> None:
    """A positive pair at 0 costs 0; a negative farther than m costs 0, at 0 m^2; d is a root mean square."""
    point, far = torch.zeros(1, 4), torch.full((1, 4), 3.0)
    together, apart = torch.cat([point, point]), torch.cat([point, far])
    equal, unequal = torch.tensor([5, 5]), torch.tensor([5, 6])
    assert contrastive(together, equal, 2.0).item() == 0
    assert contrastive(together, unequal, 2.0).item() == 4
    assert contrastive(apart, unequal, 2.0).item() == 0  # d = 3 > m
    assert contrastive(apart, equal, 2.0).item() == pytest.approx(9)
    near = torch.cat([point, torch.tensor([[2.0, 0.0, 0.0, 0.0]])])  # d = sqrt(4 / 4) = 1
    assert contrastive(near, unequal, 2.0).item() == pytest.approx(1)


def test_contrastive_is_a_mean_over_pairs() -> None:
    codes, labels = torch.randn(6, 5, generator=stream(0, "codes")), torch.tensor([0, 0, 1, 1, 2, 2])
    values = []
    for i in range(6):
        for j in range(i + 1, 6):
            d = math.sqrt(float((codes[i] - codes[j]).square().mean()))
            values.append(d * d if labels[i] == labels[j] else max(0.0, 2 - d) ** 2)
    assert contrastive(codes, labels, 2.0).item() == pytest.approx(sum(values) / 15, abs=1e-5)


def test_contrastive_has_a_gradient_where_codes_meet() -> None:
    codes = torch.zeros(3, 4, requires_grad=True)
    contrastive(codes, torch.tensor([0, 0, 1]), 2.0).backward()
    assert codes.grad is not None
    assert torch.isfinite(codes.grad).all()


# ---------------------------------------------------------------------- difference loss (24)
def gaussian(rows: int, dim: int, name: str) -> torch.Tensor:
    return torch.randn(rows, dim, generator=stream(0, name))


FORMS = [cosine_difference, frobenius_difference]


@pytest.mark.parametrize("form", FORMS)
def test_difference_is_zero_for_orthogonal_codes_symmetric_and_without_scale(form: Any) -> None:
    """The loss is >= 0, 0 for orthogonal H, symmetric, and independent of a positive factor."""
    waves = torch.tensor([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]]).t()  # centred, orthogonal columns
    nothing = torch.zeros(4, 1)
    first, second = torch.cat([waves[:, :1], nothing], 1), torch.cat([nothing, waves[:, 1:]], 1)
    assert form(first, second).item() == 0
    a, b = gaussian(16, 8, "a"), gaussian(16, 8, "b")
    value = form(a, b).item()
    assert value > 0
    assert form(b, a).item() == pytest.approx(value, rel=1e-5)
    assert form(100 * a, 0.01 * b).item() == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(("rows", "dim"), [(32, 112), (32, 2048), (8, 2048)])
def test_a_copy_scores_twice_an_independent_code_at_the_batches_used(rows: int, dim: int) -> None:
    """cos^2 separates them at any code length; a copy scores exactly 1."""
    shared, other = gaussian(rows, dim, "shared").relu(), gaussian(rows, dim, "other").relu()
    assert cosine_difference(shared, shared).item() == pytest.approx(1, abs=1e-5)
    assert cosine_difference(shared, other).item() < 0.5


def test_the_frobenius_form_needs_as_many_rows_as_dimensions() -> None:
    """For N << d it does not separate them (17.2 against 17.1); for N = 4 d a copy scores far more than twice."""
    shared, other = gaussian(16, 2048, "shared"), gaussian(16, 2048, "other")
    copy_, apart = (frobenius_difference(shared, private).item() * 2048**2 for private in (shared, other))
    assert apart == pytest.approx(17.1, abs=0.3)
    assert copy_ < 1.05 * apart
    shared, other = gaussian(128, 32, "shared"), gaussian(128, 32, "other")
    assert frobenius_difference(shared, shared) > 2 * frobenius_difference(shared, other)


@pytest.mark.parametrize(("rows", "dim"), [(6, 20), (20, 6)])
def test_frobenius_from_small_matrices_is_the_definition(rows: int, dim: int) -> None:
    """|H_c^T H_p|_F^2 = <H_c H_c^T, H_p H_p^T>, as the mean of d^2 squares."""
    shared, private = gaussian(rows, dim, "shared").double(), gaussian(rows, dim, "private").double()
    first, second = ((h - h.mean(0)) / (h - h.mean(0)).norm(dim=1, keepdim=True) for h in (shared, private))
    expected = (first.t() @ second).square().mean().item()
    assert frobenius_difference(shared, private).item() == pytest.approx(expected, rel=1e-4)


def test_a_copied_private_encoder_has_no_gradient_from_cosine() -> None:
    """`private_start` is fresh by default, since at a copy cos^2 is at its maximum and flat."""
    shared = gaussian(8, 6, "shared")
    for private, flat in ((shared.clone(), True), (gaussian(8, 6, "private"), False)):
        private.requires_grad_()
        cosine_difference(shared, private).backward()
        assert private.grad is not None
        assert (private.grad.abs().max().item() < 1e-6) is flat
    copied, fresh = network(private_start="copy"), network()
    for made, equal in ((copied, True), (fresh, False)):
        assert made.private is not None
        assert same(weights(made.private["source"]), weights(made.embedder.shared)) is equal
    assert fresh.private is not None
    assert not same(weights(fresh.private["source"]), weights(fresh.private["target"]))


def test_losses_are_float32_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        codes, others = gaussian(8, 4, "a").bfloat16(), gaussian(8, 4, "b").bfloat16()
        for form in (*FORMS, reconstruction):
            assert form(codes, others).dtype == torch.float32
        assert contrastive(codes, LABELS, 2.0).dtype == torch.float32
        assert frobenius_difference(codes, others).item() == pytest.approx(
            frobenius_difference(codes.float(), others.float()).item(), rel=1e-5
        )


def test_rows_may_be_positions() -> None:
    """Spatial positions are rows, N = B x h x w; the form for images pools first."""
    shared, private = torch.randn(2, 3, 5, 2, 2, generator=stream(0, "maps")).unbind()
    by_hand = [maps.flatten(2).transpose(1, 2).reshape(-1, 5) for maps in (shared, private)]
    positions, pooled = network(difference_rows="positions"), network()
    assert torch.allclose(positions.difference(shared, private), cosine_difference(*by_hand))
    means = [maps.mean((2, 3)) for maps in (shared, private)]
    assert torch.allclose(pooled.difference(shared, private), cosine_difference(*means))
    frobenius = network(difference="frobenius")
    assert torch.allclose(frobenius.difference(shared, private), frobenius_difference(*means))


# ---------------------------------------------------------------------- the graph (21, 22, 23, 26)
@pytest.mark.parametrize("split", ["last-stage", "whole"])
@pytest.mark.parametrize("target", ["feature", "image"])
def test_what_is_rebuilt_has_the_shape_of_what_is_wanted(split: str, target: str) -> None:
    """For both domains X_hat has the shape of X, E_I's map, or of the image."""
    made = network(split, target=target)
    for domain in ("source", "target"):
        passed = made.encode(images(domain), domain)  # type: ignore[arg-type]
        assert passed.rebuilt is not None
        assert passed.rebuilt.shape == passed.wanted.shape
        if target == "image":
            assert torch.equal(passed.wanted, images(domain))
        else:
            assert torch.equal(passed.wanted, passed.features)


def test_e_i_is_all_but_the_last_stage_or_all_of_the_backbone() -> None:
    made = embedder().eval()
    net = backbone().eval()
    with torch.no_grad():
        x = net.stem(images("x"))  # type: ignore[operator]
        for stage in list(net.stages)[:-1]:  # type: ignore[arg-type]
            x = stage(x)
        codes = made.codes(images("x"))
        assert torch.equal(codes.features, x)
        assert torch.equal(codes.map, net(images("x")).map)
        assert torch.equal(codes.vector, net(images("x")).vector)
        assert torch.equal(embedder("whole").eval().codes(images("x")).features, net(images("x")).map)
    assert not made.shared._forward_pre_hooks


def test_each_domain_has_one_term_of_the_reconstruction() -> None:
    """Without the target exactly one of the two terms is missing; the decoder learns from both."""
    made = network(losses=ROWS["rec"]).eval()  # so that one pass does not change the statistics of the next
    source, target = made.encode(images("s"), "source"), made.encode(images("t"), "target")
    terms = []
    for one in (source, target):
        assert one.rebuilt is not None
        terms.append(((one.wanted - one.rebuilt) ** 2).mean().item())
        made.zero_grad()
        made.losses([one], LABELS)["reconstruction"].backward()
        assert moved(made.decoder) > 0
    both = made.losses([source, target], LABELS)["reconstruction"]
    alone = made.losses([source], LABELS)["reconstruction"]
    assert both.item() == pytest.approx(sum(terms), rel=1e-5)
    assert alone.item() == pytest.approx(terms[0], rel=1e-5)
    output = made(images("s"), LABELS, images("t"))
    assert output.facts["reconstruction"].item() == pytest.approx(sum(terms), rel=1e-5)
    assert output.loss.item() == pytest.approx(2 * sum(terms), rel=1e-5)


def test_the_decoder_takes_the_sum_of_both_codes() -> None:
    """D inputs, not 2 D; exchanging e_c and e_p changes nothing."""
    made = network().eval()
    assert made.decoder is not None
    assert made.decoder.blocks[0][0].in_channels == 28  # type: ignore[index, union-attr]
    passed = made.encode(images("s"), "source")
    assert passed.private is not None
    assert passed.rebuilt is not None
    assert torch.equal(made.decoder(passed.private + passed.shared), passed.rebuilt)
    assert not torch.allclose(made.decoder(passed.shared), passed.rebuilt)


@pytest.mark.parametrize(("given", "wanted"), [((8, 4), (8, 4)), ((4, 2), (7, 3)), ((8, 4), (64, 32))])
def test_the_decoder_reaches_any_size(given: tuple[int, int], wanted: tuple[int, int]) -> None:
    decoder = Decoder(32, given, (3, *wanted))
    assert decoder(torch.randn(2, 32, *given)).shape == (2, 3, *wanted)
    assert 2 ** (decoder.doublings - 1) < wanted[0] / given[0] <= 2**decoder.doublings


def test_private_encoders_see_their_domain_alone() -> None:
    """Losses on the target give E_S no gradient and losses on the source give E_T none; E_C learns from both."""
    for domain, other in (("source", "target"), ("target", "source")):
        made = network(losses=ROWS["rec+diff"])
        passed = made.encode(images(domain), domain)  # type: ignore[arg-type]
        sum(made.losses([passed], LABELS).values()).backward()  # type: ignore[union-attr]
        assert made.private is not None
        assert moved(made.private[domain]) > 0
        assert moved(made.private[other]) == 0
        assert moved(made.embedder.shared) > 0


def test_difference_never_crosses_domains() -> None:
    """The loss is the sum of the losses of (e_c, e_p) of the source and of the target."""
    made = network().eval()
    passed = [made.encode(images("s"), "source"), made.encode(images("t"), "target")]
    terms = []
    for one in passed:
        assert one.private is not None
        terms.append(cosine_difference(one.shared.mean((2, 3)), one.private.mean((2, 3))).item())
    assert made.losses(passed, LABELS)["difference"].item() == pytest.approx(sum(terms), rel=1e-5)


def test_the_classifier_sees_shared_codes_of_the_source_alone() -> None:
    """Other target images do not change class and contrast, nor their gradients."""
    gradients = []
    for name in ("t", "u"):
        made = network(freeze_image="never")
        losses = made.losses([made.encode(images("s"), "source"), made.encode(images(name), "target")], LABELS)
        (losses["class"] + losses["contrast"]).backward()
        gradients.append([p.grad.clone() for p in made.parameters() if p.grad is not None])
        assert made.private is not None
        assert moved(made.private) == moved(made.decoder) == 0
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_the_loss_is_the_weighted_sum() -> None:
    """L_class + alpha L_ctrs + beta L_rec + gamma L_diff."""
    made = network(contrast_weight=0.3, reconstruction_weight=5.0, difference_weight=7.0)
    output = made(images("s"), LABELS, images("t"))
    facts = {name: value.item() for name, value in output.facts.items()}
    expected = facts["class"] + 0.3 * facts["contrast"] + 5 * facts["reconstruction"] + 7 * facts["difference"]
    assert output.loss.item() == pytest.approx(expected, rel=1e-5)
    assert facts["positives"] == 4


def test_detaching_stops_the_way_through_what_is_wanted() -> None:
    """If the gradient reaches X as the reconstruction target, E_I can shrink X; detaching prevents it."""
    for detach in (True, False):
        made = network(detach=detach, freeze_image="never")
        assert made.encode(images("s"), "source").wanted.requires_grad is not detach


def test_dropout_has_a_stream_of_its_own() -> None:
    made = network(dropout=0.5)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    values = made._dropout(torch.ones(200, 50))
    assert torch.equal(torch.get_rng_state(), before)
    assert sorted(values.unique().tolist()) == [0, 2]
    assert values.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(made.eval()._dropout(torch.ones(2, 2)), torch.ones(2, 2))


# ---------------------------------------------------------------------- the paper's form
def test_the_paper_preset_is_what_the_paper_prints() -> None:
    """The preset selects the paper's form; values set next to it override the preset."""
    component = load(builtin=("reidbench_arn",)).get("adapter", "arn")
    assert component.presets["paper"] == {**PAPER_FORM, "image_size": (224, 224)}
    paper = ArnParams(**PAPER_FORM)
    assert (paper.contrast_weight, paper.reconstruction_weight, paper.gamma_of(2048)) == (0.01, 2.0, 1500)
    assert [paper.rate_of(group) for group in ("image", "shared", "private", "decoder", "classifier")] == [
        1e-7, 1e-3, 1e-3, 1e-3, 2e-3,
    ]  # fmt: skip
    assert (paper.warmup_groups, paper.warmup_epochs > 0) == (("image",), True)
    assert (paper.split, paper.encoder, paper.codes, paper.reconstruction, paper.difference) == (
        "whole", "fcn", "pooled", "sum", "raw",
    )  # fmt: skip
    assert not paper.neck
    assert not paper.detach


@pytest.mark.parametrize(
    ("settings", "images"),
    [
        ({}, 16),
        ({"target_images": 5}, 13),
        ({"losses": ("class", "contrast"), "target_statistics": False}, 8),
        ({"identities": 20, "target_images": 4}, 16),  # of 6 identities
    ],
)
def test_a_training_takes_the_steps_that_it_says(
    settings: dict[str, Any], images: int, worlds: tuple[Split, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Count the optimiser's steps and the images that pass through the network."""
    seen: list[int] = []
    steps: list[int] = []
    forward, step = ArnNetwork.forward, Update.step

    def passed(self: ArnNetwork, source: Any, labels: Any, target: Any) -> Any:
        seen.append(len(source) + (len(target) if target is not None else 0))
        return forward(self, source, labels, target)

    monkeypatch.setattr(ArnNetwork, "forward", passed)
    monkeypatch.setattr(Update, "step", lambda update: (steps.append(1), step(update)))
    ctx, _ = context(worlds, tmp_path, **settings)
    adapt(ctx)
    component = load(builtin=("reidbench_arn",)).get("adapter", "arn")
    amounts = {"source": Amount(36, 6), "target": Amount(36, 6)}
    found = load_attribute(component.workload)(ctx.params, amounts)
    assert (found.steps, found.images) == (len(steps), images) == (4, seen[0])
    few = load_attribute(component.workload)(ArnParams(**{**PAPER_FORM, **component.rehearsal}), amounts)
    assert (few.steps, few.images) == (2, 8)


def test_sums_and_raw_norms_by_hand() -> None:
    """Two images: 1 + 4 + 9 + 16; H_c^T H_p = [[1, 2], [0, 0]] + [[0, 0], [0, 3]], squared and summed 14."""
    assert summed_reconstruction(torch.zeros(2, 2), torch.tensor([[1.0, -2.0], [3.0, 4.0]])).item() == 30
    shared, private = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 2.0], [0.0, 3.0]])
    assert raw_difference(shared, private).item() == 14
    assert raw_difference(10 * shared, private).item() == 1400  # neither centred nor scaled
    wide = gaussian(3, 7, "wide"), gaussian(3, 7, "other")
    assert raw_difference(*wide).item() == pytest.approx((wide[0].t() @ wide[1]).square().sum().item(), rel=1e-5)


def test_the_papers_networks_at_its_size() -> None:
    """On a 7x7 map the code is a vector, computed by layers of 7x7, 1x1 and 1x1."""
    encoder = FcnEncoder(6, 4, (7, 7)).train()
    assert encoder(torch.randn(2, 6, 7, 7, generator=stream(0, "x"))).shape == (2, 4, 1, 1)
    assert [p.shape for name, p in encoder.named_parameters() if name.endswith("0.weight")] == [
        (4, 6, 7, 7), (4, 4, 1, 1), (4, 4, 1, 1),
    ]  # fmt: skip


def test_the_papers_networks_behind_a_resnet50_have_856_million_weights() -> None:
    """Three encoders and a decoder of 2048 channels; nothing is allocated."""
    with torch.device("meta"):
        encoder, decoder = FcnEncoder(2048, 2048, (7, 7)), FcnDecoder(2048, (2048, 7, 7))
    counts = [sum(weight.numel() for weight in one.parameters()) for one in (encoder, decoder)]
    assert counts == [2048 * 2048 * 51 + 3 * 2 * 2048] * 2
    assert 4 * counts[0] == pytest.approx(856e6, rel=1e-3)


@pytest.mark.parametrize("size", [(32, 16), (64, 32), (256, 128)])
def test_maps_of_any_size_are_rebuilt(size: tuple[int, int]) -> None:
    """X of 2x1 cuts the kernels; X of 16x8 leaves several positions, and the decoder gets their mean."""
    made = ArnNetwork(starting(size), 4, ArnParams(**{**PAPER_FORM, "dropout": 0.0}), 0).train()
    x = torch.randn(4, 3, *size, generator=stream(0, "x"))
    given: list[torch.Tensor] = []
    assert made.decoder is not None
    made.decoder.register_forward_pre_hook(lambda module, inputs: given.append(inputs[0]))
    passed = made.encode(x, "source")
    assert passed.rebuilt is not None
    assert passed.private is not None
    assert passed.rebuilt.shape == passed.features.shape
    assert torch.allclose(given[0], passed.shared.mean((2, 3), True) + passed.private.mean((2, 3), True), atol=1e-5)


def starting(size: tuple[int, int]) -> WholeEmbedder:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = resnet_tiny(TinyParams(width=4), size)
    net.spec = {}
    params = {"image_size": size, "backbone": lambda: net, "source": None, "target": None}
    ctx, _ = make_context(AdaptContext, Path(), ArnParams(**PAPER_FORM), **params)  # type: ignore[arg-type]
    made = starting_embedder(ctx)
    assert isinstance(made, WholeEmbedder)
    return made


def test_dropout_of_the_encoders_is_off_at_test_and_has_the_stream_of_the_run() -> None:
    made = ArnNetwork(starting(SIZE), 4, ArnParams(**PAPER_FORM), 0).train()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = (made.encode(images("x"), "source").vector for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(first, second)
    alone = made.embedder.eval()  # the network itself is still in training
    with torch.no_grad():
        assert torch.equal(alone(images("x")), alone(images("x")))


@pytest.mark.parametrize("epoch", [1, 3])
def test_the_papers_form_ends_bit_identical_when_killed(epoch: int, worlds: Any, tmp_path: Path) -> None:
    """E_I is trained alone in the first epochs; a resumed run continues the draws of its dropout."""
    settings = {**PAPER_FORM, "epochs": 4, "iterations": 1}

    def made(out: Path, die_after: int) -> tuple[AdaptContext, Lines]:
        return with_workers_where_cut(context(worlds, out, die_after=die_after, **settings), out)

    network, lines = check_resumes(tmp_path, made, adapt, epoch)
    assert [line["lr_image"] for line in lines] == [1e-7] * 4
    save_embedder(tmp_path, network)
    rebuilt = load_embedder(tmp_path, lambda described: backbone(1), {"reidbench_arn": "reidbench_arn"})
    assert np.array_equal(*(embed(one, worlds[1], worlds[1].camids) for one in (rebuilt, network)))


def test_a_training_that_diverges_ends_with_a_reason(worlds: Any, tmp_path: Path) -> None:
    """A diverged run never returns a network that computes no finite numbers."""
    settings = {**PAPER_FORM, "epochs": 9, "iterations": 2, "warmup_epochs": 0, "lr_code": 1e6, "dropout": 0.0}
    with pytest.raises(ReidbenchError, match=r"arn diverged in epoch \d: .*loss.* lower lr_code"):
        adapt(context(worlds, tmp_path, **settings)[0])


def test_weights_that_diverge_in_the_last_step_end_with_a_reason(worlds: Any, tmp_path: Path) -> None:
    """The losses of the last step were computed before its update, and are finite."""
    settings = {**PAPER_FORM, "epochs": 1, "iterations": 1, "warmup_epochs": 0, "lr_code": 1e38, "dropout": 0.0}
    with pytest.raises(ReidbenchError, match=r"arn diverged in its last steps: .* lower lr_code"):
        adapt(context(worlds, tmp_path, **settings)[0])


# ---------------------------------------------------------------------- groups, warm-up, rates (27, 28)
@pytest.mark.parametrize("split", ["last-stage", "whole"])
def test_every_parameter_is_in_one_group_at_its_rate(worlds: Any, tmp_path: Path, split: str) -> None:
    """E_I : encoders and decoder : classifier = 1e-7 : 1e-3 : 2e-3; no parameter is missing."""
    paper = {name: ArnParams.model_fields[name].default for name in ("lr_image", "lr_code", "lr_classifier")}
    run = _Run(context(worlds, tmp_path, split=split, **paper)[0])
    grouped = [id(p) for group in run.optimiser.param_groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in run.network.parameters())
    rates = {group["name"]: group["lr"] for group in run.optimiser.param_groups}
    assert rates == {"image": 1e-7, "shared": 1e-3, "private": 1e-3, "decoder": 1e-3, "classifier": 2e-3}
    inside = {id(p) for p in run.network.embedder.shared.parameters()}
    assert inside <= {id(p) for p in run.groups["shared"]}


@pytest.mark.parametrize("split", ["last-stage", "whole"])
def test_no_layer_stays_as_it_was(worlds: Any, tmp_path: Path, split: str) -> None:
    """With all losses each parameter moves; HHL#8 was a bug of frozen layers."""
    run = _Run(context(worlds, tmp_path, split=split, epochs=1)[0])
    before = {name: p.detach().clone() for name, p in run.network.named_parameters()}
    run.train()
    still = [name for name, p in run.network.named_parameters() if torch.equal(p, before[name])]
    assert still == ["embedder.neck.norm.bias"]  # a BNNeck's bias is 0 by definition


def test_warm_up_trains_its_groups_alone(worlds: Any, tmp_path: Path) -> None:
    """Outside the warm-up groups parameters are bit-identical, weight decay or not; then all move."""
    run = _Run(context(worlds, tmp_path, epochs=2, warmup_epochs=1, warmup_groups=["classifier", "decoder"])[0])
    before = {name: [p.detach().clone() for p in group] for name, group in run.groups.items()}
    run._epoch(frozenset(run.params.warmup_groups))
    for name, group in run.groups.items():
        changed = [not torch.equal(p, old) for p, old in zip(group, before[name], strict=True)]
        assert all(changed) if name in ("classifier", "decoder") else not any(changed), name
    frozen = [p for name in ("image", "shared", "private") for p in run.groups[name]]  # type: ignore[index]
    assert not any(run.optimiser.state[p] for p in frozen)  # no momentum is saved up for later
    run._epoch(frozenset(run.groups))
    assert all(run.optimiser.state[p] for p in frozen if p.requires_grad)


def test_warm_up_ends(worlds: Any, tmp_path: Path) -> None:
    seen: list[frozenset[str]] = []
    run = _Run(context(worlds, tmp_path, epochs=3, iterations=1, warmup_epochs=2)[0])
    run._keep_back = seen.append  # type: ignore[method-assign]
    run.train()
    assert [sorted(groups) for groups in seen] == [["image"], ["image"], sorted(run.groups)]


def test_rates_fall_at_the_milestones(worlds: Any, tmp_path: Path) -> None:
    """In all groups the rate falls as configured; in other authors' code it never falls."""
    ctx, lines = context(worlds, tmp_path, epochs=4, iterations=1, milestones=[0.5, 0.75])
    adapt(ctx)
    for name, rate in (("image", 1e-3), ("shared", 1e-2), ("private", 1e-2), ("classifier", 2e-2)):
        assert [line[f"lr_{name}"] for line in lines] == pytest.approx([rate, rate, rate / 10, rate / 100])


@pytest.mark.parametrize("row", ["rec", "rec+diff"])
def test_without_supervision_e_i_stays_as_it_is(worlds: Any, tmp_path: Path, row: str) -> None:
    """E_I is bit-identical, its statistics too, the classifier does not change, and E_C learns."""
    run = _Run(context(worlds, tmp_path, losses=ROWS[row])[0])
    stage = run.network.embedder.shared
    before = [weights(m) for m in (*run.network.embedder.image_modules, run.network.classifier)]
    shared = weights(stage)
    run.train()
    after = [weights(m) for m in (*run.network.embedder.image_modules, run.network.classifier)]
    assert all(same(old, new) for old, new in zip(before, after, strict=True))
    assert not same(shared, weights(stage))
    assert (run.network.private is None) is (row == "rec")


def test_freezing_can_be_chosen(worlds: Any, tmp_path: Path) -> None:
    for number, (losses, freeze, frozen) in enumerate(
        [("all", "unsupervised", False), ("all", "always", True), ("rec", "never", False), ("rec", "always", True)]
    ):
        ctx, _ = context(worlds, tmp_path / str(number), losses=ROWS[losses], freeze_image=freeze, epochs=1)
        run = _Run(ctx)
        before = weights(run.network.embedder.image_modules[0])
        run.train()
        assert same(before, weights(run.network.embedder.image_modules[0])) is frozen


# ---------------------------------------------------------------------- batches (25)
def test_every_step_has_positives_and_whole_batches(worlds: Any, tmp_path: Path) -> None:
    """P x K images hold P K (K - 1) / 2 positive pairs in every step."""
    ctx, lines = context(worlds, tmp_path, identities=4, images=3, epochs=1, iterations=7)
    run = _Run(ctx)
    batches = iter(run.source)
    for _ in range(7):
        pids = worlds[0].labels()[next(batches)[1].numpy()]
        assert sorted(np.unique(pids, return_counts=True)[1]) == [3, 3, 3, 3]
    adapt(context(worlds, tmp_path / "again", identities=4, images=3, epochs=1, iterations=7)[0])
    run.train()
    assert lines[0]["positives"] == 12


def test_the_rows_of_an_ablation_see_the_same_batches(worlds: Any, tmp_path: Path) -> None:
    drawn, decoders = [], []
    for row, losses in ROWS.items():
        run = _Run(context(worlds, tmp_path / row.replace("+", "-"), losses=losses)[0])
        assert run.target is not None
        drawn.append((next(iter(run.source)), next(iter(run.target)), weights(run.network.classifier)))
        if run.network.decoder is not None:
            decoders.append(weights(run.network.decoder))
    assert len(decoders) == 4
    assert all(same(decoder, decoders[0]) for decoder in decoders)
    for batch in drawn[1:]:
        assert torch.equal(batch[0][0], drawn[0][0][0])
        assert torch.equal(batch[1][0], drawn[0][1][0])
        assert same(batch[2], drawn[0][2])


def test_the_target_may_pass_for_its_statistics_alone(worlds: Any, tmp_path: Path) -> None:
    """In this control the target changes only the statistics: two updates a step, or one without it."""
    counts, finals = {}, {}
    for passes in (True, False):
        run = _Run(context(worlds, tmp_path / str(passes), losses=ROWS["source"], target_statistics=passes)[0])
        assert (run.target is None) is not passes
        run.train()
        norm = run.network.embedder.backbone.stem[1]  # type: ignore[index]
        counts[passes] = int(norm.num_batches_tracked)
        finals[passes] = {name: p.detach().clone() for name, p in run.network.named_parameters()}
    assert counts == {True: 8, False: 4}
    assert same(finals[True], finals[False])  # in training statistics are those of the batch: weights learn the same


# ---------------------------------------------------------------------- the stage
def test_no_target_label_is_read(worlds: Any, tmp_path: Path) -> None:
    """Weights are bit-identical for any identities of the target."""
    samples = [sample._replace(pid=99 - sample.pid % 3) for sample in worlds[1].samples]
    poisoned = Split(worlds[1].root, samples)
    states = [
        weights(adapt(context((worlds[0], target), tmp_path / name)[0]))
        for name, target in (("clean", worlds[1]), ("poisoned", poisoned))
    ]
    assert same(*states)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("split", ["last-stage", "whole"])
def test_every_row_trains_on_either_target(worlds: Any, tmp_path: Path, row: str, split: str) -> None:
    for target in ("feature", "image"):
        ctx, lines = context(worlds, tmp_path / target, losses=ROWS[row], split=split, target=target)
        features = embed(adapt(ctx), worlds[1], worlds[1].camids)
        assert features.shape == (36, 28)
        assert np.isfinite(features).all()
        assert len(lines) == 2
        assert set(ROWS[row]) <= lines[0].keys()
        assert all(math.isfinite(value) for line in lines for value in line.values())


@pytest.mark.parametrize("epoch", [1, 2])  # in the middle of a pass over the target, and at its end
def test_a_killed_run_ends_bit_identical(epoch: int, worlds: Any, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"epochs": 3, "warmup_epochs": 1, "milestones": [0.6], "pad": 1, "erase": 0.5}

    def made(out: Path, die_after: int) -> tuple[AdaptContext, Lines]:
        return with_workers_where_cut(context(worlds, out, die_after=die_after, **settings), out)

    check_resumes(tmp_path, made, adapt, epoch)


def test_seeds_differ_and_repeat(worlds: Any, tmp_path: Path) -> None:
    first, again, other = (
        weights(adapt(context(worlds, tmp_path / str(n), seed=seed, split="whole")[0]))
        for n, seed in enumerate((0, 0, 1))
    )
    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize(("split", "neck"), [("last-stage", True), ("last-stage", False), ("whole", True)])
def test_the_embedder_is_rebuilt_from_json_without_the_rest(
    worlds: Any, tmp_path: Path, split: str, neck: bool
) -> None:
    """The embedder holds E_C(E_I(x)) only; private encoders, decoder and classifier are not in it."""
    run = _Run(context(worlds, tmp_path, split=split, neck=neck)[0])
    run.train()
    answer = run.network.embedder
    features = embed(answer, worlds[1], worlds[1].camids)
    run.network.private = run.network.decoder = None
    del run.network.classifier
    assert np.array_equal(embed(run.network.embedder, worlds[1], worlds[1].camids), features)
    save_embedder(tmp_path, answer)
    rebuilt = load_embedder(tmp_path, lambda described: backbone(1), {"reidbench_arn": "reidbench_arn"})
    assert isinstance(rebuilt, type(answer))
    assert np.array_equal(embed(rebuilt, worlds[1], worlds[1].camids), features)


@pytest.mark.parametrize("pool", ["backbone", "gem"])
def test_it_starts_as_the_network_that_it_is_given(worlds: Any, tmp_path: Path, pool: str) -> None:
    """With the last stage as E_C, e_c before the first step is the source model's vector, or its neck's."""
    start = BackboneEmbedder(backbone(5), Preprocess(SIZE), neck=True, pool=pool)
    with torch.no_grad():
        start.neck.norm.weight.uniform_(1, 2)  # type: ignore[union-attr]
    start.eval()
    for neck in (True, False):
        made = starting_embedder(context(worlds, tmp_path, start=start, neck=neck)[0]).eval()
        with torch.no_grad():
            expected = start(images("x")) if neck else start.before_neck(images("x"))
            assert torch.equal(made(images("x")), expected)
    without = starting_embedder(context(worlds, tmp_path)[0])
    assert same(weights(without.backbone), weights(backbone()))


def test_x_does_not_collapse_and_losses_fall(worlds: Any, tmp_path: Path) -> None:
    """The spread of X over the target stays above .3 of its start; e_p does not vanish; all losses fall."""
    ctx, lines = context(worlds, tmp_path, epochs=6, iterations=8, freeze_image="never", detach=False)
    run = _Run(ctx)
    pixels = torch.from_numpy(np.stack([ctx.target.image(i) for i in range(len(ctx.target))]))
    batch = run.network.embedder.preprocess.normalise(pixels)
    before = run.network.eval().embedder.codes(batch).features.std().item()
    run.train()
    after = run.network.eval().embedder.codes(batch).features.std().item()
    assert after > 0.3 * before
    assert lines[-1]["private_norm"] > 0
    assert lines[-1]["shared_norm"] > 0
    for name in ("class", "reconstruction", "difference"):
        assert lines[-1][name] < lines[0][name], name


def test_bad_inputs_are_reported_in_a_sentence(worlds: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labelled source with at least two"):
        adapt(context(worlds, tmp_path, source=False)[0])
    lone = Split(worlds[1].root, worlds[1].samples[:1])
    with pytest.raises(DataError, match="but the target has 1"):
        adapt(context((worlds[0], lone), tmp_path)[0])


def test_the_plugin_declares_what_it_needs() -> None:
    registry = load(builtin=("reidbench_baseline", "reidbench_arn"))
    component = registry.get("adapter", "arn")
    assert component.requires == {"stages", "source"}
    assert component.load() is adapt
    assert all(field.description for field in ArnParams.model_fields.values())


@pytest.mark.long
@pytest.mark.parametrize("split", ["last-stage", "whole"])
def test_a_step_at_full_size(split: str) -> None:
    """ResNet-50 at 256x128: X is 1024 x 16 x 8 (or 2048), codes have length 2048, for either target."""
    net = resnet50(ResNetParams(), (256, 128))
    net.spec = {}
    preprocess = Preprocess((256, 128))
    full = StageEmbedder(net, preprocess) if split == "last-stage" else WholeEmbedder(net, preprocess, 2048)
    for target in ("feature", "image"):
        made = ArnNetwork(full, 2, ArnParams(split=split, target=target), 0).train()
        made.groups()
        source, others = torch.randn(2, 4, 3, 256, 128, generator=stream(0, "full")).unbind()
        output = made(source, torch.tensor([0, 0, 1, 1]), others)
        output.loss.backward()
        assert math.isfinite(output.loss.item())
        passed = made.encode(source, "source")
        assert passed.features.shape == (4, 1024 if split == "last-stage" else 2048, 16, 8)
        assert passed.shared.mean((2, 3)).shape == passed.vector.shape == (4, 2048)
        assert F.mse_loss(passed.vector, passed.shared.mean((2, 3))).item() < 1e-6
