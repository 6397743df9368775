"""Training of CycleGAN and SPGAN: terms, steps, order of updates, files, resume, and the images that are read."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from reidbench import PrepareContext
from reidbench.data import Split
from reidbench.errors import DataError
from reidbench_spgan import translate
from reidbench_spgan.losses import Vectors, realness_loss, similarity_loss
from reidbench_spgan.params import CycleGanParams, SpganParams
from tests.support.contexts import NEVER, Lines, check_resumes, make_context, same

pytestmark = pytest.mark.usefixtures("one_thread")
Pair = tuple[Split, Split]
SIZE = (16, 16)
SMALL: dict[str, Any] = {
    "channels": 4, "blocks": 1, "critic_channels": 4, "critic_layers": 2, "batch": 2, "steps": 7, "save_every": 2,
    "lr": 1e-3, "sheet": 3,
}  # fmt: skip


def context(pair: Pair, out: Path, *, die_after: int = NEVER, **params: Any) -> tuple[PrepareContext, Lines]:
    """A context for cyclegan with `siamese_channels` None, otherwise for spgan."""
    given = {"siamese_channels": 4, **SMALL, **params}
    plain = given["siamese_channels"] is None
    chosen = (
        CycleGanParams(**{k: v for k, v in given.items() if k != "siamese_channels"}) if plain else SpganParams(**given)
    )
    split, target = (one.hide() for one in pair)
    return make_context(
        PrepareContext, out, chosen, die_after=die_after, image_size=SIZE, seed=3, split=split, target=target
    )


def spgan(pair: Pair, out: Path, **params: Any) -> translate.Spgan:
    return translate.Spgan(context(pair, out, **params)[0], "spgan")


def test_terms_are_the_papers(pair: Pair, tmp_path: Path) -> None:
    """Adversarial + 10 cycle + 5 identity + 2 similarity, each over both directions, written out with the networks."""
    run = spgan(pair, tmp_path, dropout=0.0)
    images = run.batch(0)
    source, target = images["source"], images["target"]
    forth, back = run.generators["target"], run.generators["source"]
    fakes = {"target": forth(source), "source": back(target)}
    terms = run.generator_terms(images, fakes)
    wanted = {
        "adversarial": (run.critics["target"](fakes["target"]) - 1).square().mean()
        + (run.critics["source"](fakes["source"]) - 1).square().mean(),
        "cycle": (back(forth(source)) - source).abs().mean() + (forth(back(target)) - target).abs().mean(),
        "identity": (forth(target) - target).abs().mean() + (back(source) - source).abs().mean(),
    }
    vectors = Vectors(*map(run.siamese, (source, fakes["target"], target, fakes["source"])))
    wanted["similarity"] = sum(similarity_loss(vectors, 2.0, "translated")) / 2  # type: ignore[assignment]
    assert terms.keys() == wanted.keys()
    for name, value in wanted.items():
        assert terms[name].item() == pytest.approx(value.item(), rel=1e-5), name
    total = wanted["adversarial"] + 10 * wanted["cycle"] + 5 * wanted["identity"] + 2 * wanted["similarity"]
    assert run.generator_loss(terms).item() == pytest.approx(total.item(), rel=1e-5)
    critics = run.critic_loss(images, {domain: fake.detach() for domain, fake in fakes.items()})
    halves = sum(
        realness_loss(run.critics[domain](images[domain]), 1) + realness_loss(run.critics[domain](fakes[domain]), 0)
        for domain in ("source", "target")
    )
    assert critics.item() == pytest.approx(halves.item() / 2, rel=1e-5)  # type: ignore[union-attr]


def test_all_networks_learn_from_the_translations_before_the_step(pair: Pair, tmp_path: Path) -> None:
    """As in the official code, which translates once in a step; each network moves by its own loss only."""
    run, other = spgan(pair, tmp_path / "one", dropout=0.0), spgan(pair, tmp_path / "other", dropout=0.0)
    before = copy.deepcopy(run.networks)
    images = other.batch(0)
    with torch.no_grad():
        fakes = {
            "target": other.generate("target", images["source"]),
            "source": other.generate("source", images["target"]),
        }
        critics, siamese = other.critic_loss(images, fakes), other.similarity(images, fakes)[0]
    facts = run.step(0)
    assert float(facts["critic_loss"]) == pytest.approx(critics.item(), rel=1e-5)
    assert float(facts["siamese_loss"]) == pytest.approx(siamese.item(), rel=1e-5)
    for name, network in run.networks.items():
        moved = [not torch.equal(a, b) for a, b in zip(network.parameters(), before[name].parameters(), strict=True)]
        assert any(moved), name
        assert all(weight.requires_grad for weight in network.parameters()), name


def test_without_a_weight_there_is_no_identity_term(pair: Pair, tmp_path: Path) -> None:
    facts = spgan(pair, tmp_path, identity_weight=0).step(0)
    assert "identity" not in facts
    assert "similarity" in facts


def test_cyclegan_is_spgan_without_the_siamese_network(pair: Pair, tmp_path: Path) -> None:
    run = translate.CycleGan(context(pair, tmp_path, siamese_channels=None)[0], "cyclegan")
    assert set(run.networks) == {"generators", "critics"}
    facts = run.step(0)
    assert set(facts) == {"generator_loss", "adversarial", "cycle", "identity", "critic_loss", "lr"}
    first = spgan(pair, tmp_path / "spgan").step(0)
    assert all(float(facts[name]) == float(first[name]) for name in ("adversarial", "cycle", "identity", "critic_loss"))


def test_an_epoch_is_a_pass_over_the_smaller_set(pair: Pair, tmp_path: Path) -> None:
    """16 source images in batches of 2 are 8 steps a pass, 24 target images 12."""
    assert spgan(pair, tmp_path, steps=None, epochs=3).total == 24


def test_the_rate_is_constant_by_default(pair: Pair, tmp_path: Path) -> None:
    run = spgan(pair, tmp_path)
    assert [run.step(step)["lr"] for step in (0, 6)] == [1e-3, 1e-3]
    falling = spgan(pair, tmp_path / "falling", decay_start=0.0)
    assert falling.step(6)["lr"] == pytest.approx(1e-3 / 7)


@pytest.mark.parametrize("siamese", [None, 4])
def test_every_source_image_is_translated_and_a_second_run_is_the_same(
    siamese: int | None, pair: Pair, tmp_path: Path
) -> None:
    function: Any = translate.cyclegan if siamese is None else translate.spgan
    for name in ("first", "second"):
        function(context(pair, tmp_path / name, siamese_channels=siamese)[0])
    files = sorted(file.name for file in (tmp_path / "first" / "images").iterdir())
    assert len(files) == 16
    assert not any(character.isdigit() for name in files for character in name)  # no pids, no cameras
    for file in ("generator.safetensors", "contact-sheet.png", *(f"images/{name}" for name in files)):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


@pytest.mark.slow
def test_no_label_is_read(pair: Pair, tmp_path: Path) -> None:
    """The generator is bit-identical with other identities and cameras; with another target it is not."""
    other = [Split.of_columns(one.root, one.paths, one.pids[::-1].copy(), np.roll(one.camids, 1)) for one in pair]
    cases = {"as it is": pair, "relabelled": (other[0], other[1]), "moved": (pair[0], pair[0])}
    states = []
    for name, given in cases.items():
        translate.spgan(context(given, tmp_path / name)[0])
        states.append(load_file(tmp_path / name / "generator.safetensors"))
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


@pytest.mark.parametrize("after", [1, 3])
def test_a_killed_training_resumes_bit_identical(after: int, pair: Pair, tmp_path: Path) -> None:
    """Networks, optimisers, the history of translations, and every stream."""

    def made(out: Path, die_after: int) -> Any:
        return context(pair, out, die_after=die_after, history=3)

    _, lines = check_resumes(tmp_path, made, translate.spgan, after)
    assert [line["steps"] for line in lines] == [2, 4, 6, 7]


@pytest.mark.slow
def test_training_makes_the_cycle_shorter(pair: Pair, tmp_path: Path) -> None:
    ctx, lines = context(pair, tmp_path, steps=60, save_every=15, enlarge=1.0, lr=2e-3)
    translate.Spgan(ctx, "spgan").train()
    assert lines[-1]["cycle"] < 0.8 * lines[0]["cycle"]


def test_a_translation_does_not_depend_on_the_others(pair: Pair, tmp_path: Path) -> None:
    run = spgan(pair, tmp_path)
    together = run.translated(np.arange(16))
    assert together.shape == (16, *SIZE, 3)
    assert np.array_equal(run.translated(np.array([7, 2])), together[[7, 2]])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"batch": 17}, "source images to translate: a batch of 17 exceeds the 16 available"),
        ({"critic_layers": 3}, "16x16 are too small for 3 halvings"),
        ({"siamese_layers": 3}, "16x16 can be quartered 2 times"),
    ],
)
def test_trainings_that_cannot_run_are_refused(
    params: dict[str, Any], message: str, pair: Pair, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        spgan(pair, tmp_path, **params)


def test_sizes_that_the_generators_cannot_halve(pair: Pair, tmp_path: Path) -> None:
    ctx, _ = context(pair, tmp_path)
    odd = type(ctx)(**{**vars(ctx), "image_size": (18, 16)})
    with pytest.raises(DataError, match="which 18x16 does not allow: set `size`"):
        translate.Spgan(odd, "spgan")
    with pytest.raises(ValueError, match="multiples of 4"):
        SpganParams(size=(18, 16))
    alone = type(ctx)(**{**vars(ctx), "target": None})
    with pytest.raises(DataError, match="spgan needs the images of a target"):
        translate.Spgan(alone, "spgan")
