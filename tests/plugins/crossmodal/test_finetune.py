"""Training of two-stream: excluded persons, steps and rates, resume and workers, and a run from a file to a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reidbench import Amount, FinetuneContext
from reidbench.components import load_attribute
from reidbench.data import Sample, Split
from reidbench.errors import DataError, ReidbenchError
from reidbench.registry import plugins
from reidbench.report import Leaderboard
from reidbench.testing import run_matrix
from reidbench.training import Backbone, Update
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_crossmodal import finetune as training
from reidbench_crossmodal.finetune import finetune, two_sided
from reidbench_crossmodal.params import TwoStreamParams
from tests.support.contexts import NEVER, Lines, check_resumes, make_context, same, with_workers_where_cut
from tests.support.presets import settings_of

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL: dict[str, Any] = {"epochs": 3, "identities": 3, "images": 2}
SHOTS = 3  # images of each person in each modality


def paint(folder: Path, pid: int, word: str, shot: int) -> str:
    """A person's four stripes with noise; in infrared only their brightness, inverted."""
    stripes = np.random.default_rng(pid).integers(30, 226, (4, 3)).astype(float)
    if word != "visible":
        stripes = 255 - stripes.mean(1, keepdims=True).repeat(3, 1)
    picture = np.repeat(stripes, 8, axis=0)[:, None].repeat(16, axis=1)
    noise = np.random.default_rng([pid, shot, len(word)]).integers(-12, 13, picture.shape)
    name = f"{pid}_{word}_{shot}.png"
    Image.fromarray(np.clip(picture + noise, 0, 255).astype(np.uint8)).save(folder / name)
    return name


def persons(folder: Path, pids: range, words: tuple[str, ...] = ("visible", "infrared")) -> list[Sample]:
    return [
        Sample(paint(folder, pid, word, shot), pid, camera, modality=word)
        for pid in pids
        for camera, word in enumerate(words)
        for shot in range(SHOTS)
    ]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Six persons, each with three visible and three infrared images."""
    folder = tmp_path_factory.mktemp("source")
    return Split(folder, persons(folder, range(1, 7)))


def backbone() -> Backbone:
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=4), (32, 16))
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]}
    return network


def context(
    source: Split, out: Path, *, die_after: int = NEVER, notes: list[str] | None = None, **params: Any
) -> tuple[FinetuneContext[TwoStreamParams], Lines]:
    more = {} if notes is None else {"note": notes.append}
    return make_context(
        FinetuneContext, out, TwoStreamParams(**{**SMALL, **params}), die_after=die_after, source=source,
        backbone=backbone, **more,
    )  # fmt: skip


# ---------------------------------------------------------------------- who is in the training
def test_who_lacks_a_modality_is_left_out_counted_and_named(source: Split, tmp_path: Path) -> None:
    """Persons 1 and 2 lose their infrared images, 3 the visible ones, and an image of 4 its modality."""
    lost = [(1, "infrared"), (2, "infrared"), (3, "visible")]
    samples = [one for one in source.samples if (one.pid, one.modality) not in lost]
    row = next(row for row, one in enumerate(samples) if one.pid == 4)
    samples[row] = samples[row]._replace(modality="")
    notes: list[str] = []
    found = two_sided(context(Split(source.root, samples), tmp_path, notes=notes)[0])
    assert sorted(set(found.split.pids.tolist())) == [4, 5, 6]
    assert len(found.split) == 3 * 2 * SHOTS - 1
    assert found.words == ("infrared", "visible")
    assert [found.words[number] for number in found.numbers] == list(found.split.modality or ())
    assert notes == [
        "1 of 27 images have no known modality and are left out",
        "3 of 6 persons, with 9 images, are not seen in every modality and left out of the training: "
        "pid 1 only in visible, pid 2 only in visible, pid 3 only in infrared",
    ]


def test_of_many_the_first_three_are_named(source: Split, tmp_path: Path) -> None:
    samples = [one for one in source.samples if one.pid > 4 or one.modality == "visible"]
    notes: list[str] = []
    two_sided(context(Split(source.root, samples), tmp_path, notes=notes)[0])
    assert notes[0].startswith("4 of 6 persons, with 12 images, are not")
    assert notes[0].endswith("pid 3 only in visible and 1 more")


def test_whoever_has_all_is_noted_nowhere(source: Split, tmp_path: Path) -> None:
    notes: list[str] = []
    assert len(two_sided(context(source, tmp_path, notes=notes)[0]).split) == len(source)
    assert notes == []


@pytest.mark.parametrize(
    ("keep", "text"),
    [
        (lambda one: one._replace(modality=""), "images of at least two modalities, but no image has one"),
        (lambda one: one._replace(modality="visible"), "images of at least two modalities, but all are visible"),
        (
            lambda one: one._replace(modality="visible") if one.pid > 1 else one,
            r"seen in every modality \(infrared, visible\), but its source has 1",
        ),
        (lambda one: one._replace(pid=1), "needs a source with at least two identities"),
    ],
)
def test_a_source_without_two_modalities_or_persons_is_refused(
    source: Split, tmp_path: Path, keep: Callable[[Sample], Sample], text: str
) -> None:
    ctx, _ = context(Split(source.root, [keep(one) for one in source.samples]), tmp_path)
    with pytest.raises(DataError, match=text):
        finetune(ctx)


def test_grey_needs_visible_images(source: Split, tmp_path: Path) -> None:
    samples = [one._replace(modality=one.modality.replace("visible", "rgb")) for one in source.samples]
    with pytest.raises(DataError, match="grey needs visible images, but the source has infrared and rgb images"):
        finetune(context(Split(source.root, samples), tmp_path, grey=0.5)[0])


# ---------------------------------------------------------------------- the training
def test_a_training_goes_on_to_the_same_network(source: Split, tmp_path: Path) -> None:
    """After a kill, and with two workers after a resume; all random augmentations are on."""

    def made(out: Path, die_after: int) -> tuple[FinetuneContext[TwoStreamParams], Lines]:
        given = context(source, out, die_after=die_after, grey=0.5, erase=0.5, optimiser="sgd", network_rate=0.1)
        return with_workers_where_cut(given, out)

    _, lines = check_resumes(tmp_path, made, finetune, 1)
    assert {"loss", "identity", "triplet", "lr", "steps"} <= lines[0].keys()
    assert lines[0]["steps"] == 18 // (3 * 2) + 1


def test_seeds_grey_and_losses_make_other_networks(source: Split, tmp_path: Path) -> None:
    first = finetune(context(source, tmp_path / "first")[0])
    assert same(first, finetune(context(source, tmp_path / "again")[0]))
    for name, params in {"grey": {"grey": 0.5}, "hard": {"triplet": "hard"}, "apart": {"shared_from": 2}}.items():
        assert not same(first, finetune(context(source, tmp_path / name, **params)[0]))
    stems = first.streams.stem.copies
    assert not same(stems[0], stems[1])


def test_stem_and_stages_have_a_rate_of_their_own(source: Split) -> None:
    params = TwoStreamParams(optimiser="sgd", lr=0.1, network_rate=0.1, pool="gem", momentum=0.0)
    network = training.TwoStreamEmbedder(backbone(), training.Preprocess((32, 16)), ["a", "b"], 1, "gem")
    losses = training.CrossModalLosses(params, 6, 28)
    slow, fast = training._optimiser(params, network, losses).param_groups
    assert (slow["lr"], fast["lr"]) == (pytest.approx(0.01), 0.1)
    counts = [sum(weight.numel() for weight in group["params"]) for group in (slow, fast)]
    assert counts[1] == 28 + 6 * 28  # the neck's scales, and the classifier
    assert sum(counts) == sum(weight.numel() for weight in network.parameters()) - 28 + 6 * 28  # the neck's bias is not


@pytest.mark.parametrize(("identities", "images"), [(3, 2), (8, 4)])
def test_it_takes_the_steps_that_it_says(
    registry: plugins.Registry, source: Split, tmp_path: Path, identities: int, images: int
) -> None:
    component, params = registry.get("finetuner", "two-stream"), {"identities": identities, "images": images}
    steps: list[int] = []
    step = Update.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Update, "step", lambda update: (steps.append(1), step(update)))
        ctx, _ = context(source, tmp_path, **params)
        component.load()(ctx)
    workload = load_attribute(component.workload)
    told = workload(ctx.params, {"source": Amount(len(source), source.num_pids)})
    assert told.steps == len(steps)
    assert told.images == 2 * min(identities, 6) * images


def test_the_preset_is_the_official_recipe(registry: plugins.Registry) -> None:
    """lr .1, a tenth of it for the network; it rises by .01 to epoch 10 and falls tenfold at 20 and 50 of 0 to 80."""
    params, settings = settings_of(registry.get("finetuner", "two-stream"), "paper")
    assert settings == {"image_size": (288, 144), "resize": "bilinear"}
    assert (params.identities, params.images, params.pool, params.optimiser) == (8, 4, "gem-fixed", "sgd")
    assert (params.label_smoothing, params.erase, params.pad, params.triplet) == (0.0, 0.0, 10, "weighted-code")
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([weight], lr=params.lr)
    schedule = training.warmup_multistep(
        optimiser, params.epochs, warmup=params.warmup, warmup_factor=params.warmup_factor,
        milestones=params.milestones, gamma=params.gamma,
    )  # fmt: skip
    rates = []
    for _ in range(params.epochs):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx([0.01 * (e + 1) for e in range(10)] + [0.1] * 10 + [0.01] * 30 + [0.001] * 31)


# ---------------------------------------------------------------------- from a matrix file to a table
MATRIX = """
image_size: [32, 16]
data: {own: {use: csv-manifest, root: own.csv}}
tasks: {t: {source: own, target: own}}
backbone: {use: resnet-tiny, width: 4}
evaluate: cosine
"""
TWO = "two: {finetune: {use: two-stream, epochs: 2, identities: 4, images: 2}}"


def manifest(folder: Path, *, modality: bool = True, test: str = "infrared") -> None:
    """Four persons for training; the queries are the second camera's images of four others, with modality `test`."""
    lines = ["path,pid,camid,split" + ",modality" * modality]
    for one in [*persons(folder, range(1, 5)), *persons(folder, range(5, 9), ("visible", test))]:
        part = "train" if one.pid < 5 else "query" if one.camid else "gallery"
        lines.append(f"{one.path},{one.pid},{one.camid},{part}" + f",{one.modality}" * modality)
    (folder / "own.csv").write_text("\n".join(lines) + "\n")


def ran(folder: Path, methods: str = TWO, more: str = "", **data: Any) -> Leaderboard:
    manifest(folder, **data)
    return run_matrix(f"{MATRIX}{more}methods:\n  {methods}\n", folder)


def test_a_matrix_file_becomes_a_table(tmp_path: Path) -> None:
    (result,) = ran(tmp_path, more="profile: true\n").results
    assert (result.status, result.error) == ("ok", "")
    assert 0 < result.metrics["mAP"] <= 1
    assert result.row.protocol == "source labels, modality, AP step"
    (file,) = tmp_path.glob("store/objects/*/features.npz")
    with np.load(file) as found:
        assert found["query_features"].shape == (12, 28)
        assert set(found["query_modality"]) == {"infrared"}


@pytest.mark.slow
def test_features_depend_on_the_modality_that_a_manifest_says(tmp_path: Path) -> None:
    """The same images and networks; one manifest declares its infrared queries as visible."""
    features = {}
    for name in ("right", "wrong"):
        (folder := tmp_path / name).mkdir()
        ran(folder)
        if name == "wrong":
            lines = (folder / "own.csv").read_text().splitlines()
            swapped = [line.replace(",query,infrared", ",query,visible") for line in lines]
            (folder / "own.csv").write_text("\n".join(swapped) + "\n")
            (result,) = run_matrix(f"{MATRIX}methods:\n  {TWO}\n", folder).results
            assert result.status == "ok"
        file = max(folder.glob("store/objects/*/features.npz"), key=lambda file: file.stat().st_mtime_ns)
        with np.load(file) as found:
            features[name] = {part: found[f"{part}_features"] for part in ("query", "gallery")}
    np.testing.assert_array_equal(features["right"]["gallery"], features["wrong"]["gallery"])
    assert abs(features["right"]["query"] - features["wrong"]["query"]).max() > 1e-3


def test_a_set_without_modalities_makes_the_row_not_applicable(tmp_path: Path) -> None:
    (result,) = ran(tmp_path, modality=False).results
    assert result.status == "not-applicable"
    assert "two-stream needs modality labels, which own does not have" in result.error


def test_a_word_that_was_not_trained_on_fails_the_cell_in_one_sentence(tmp_path: Path) -> None:
    (result,) = ran(tmp_path, test="thermal").results
    assert result.status == "blocked"  # the embedding failed
    assert result.error.endswith(
        "TwoStreamEmbedder takes each image's modality (infrared or visible), and 12 of 12 query images of own "
        "have another: the first is thermal"
    )


def test_steps_that_treat_all_images_alike_cannot_go_on_from_it(tmp_path: Path) -> None:
    before = "finetune: {use: two-stream, epochs: 1, identities: 4, images: 2}"
    methods = f"a: {{{before}, adapt: {{use: adabn, batch: 4}}}}\n  b: {{{before}, adapt: pseudo-label}}"
    first, second = ran(tmp_path, methods).results
    assert "needs each image's modality (infrared or visible), but the step after it does not provide it" in first.error
    assert "TwoStreamEmbedder of the previous stage has no backbone to start from" in second.error
    assert {first.status, second.status} == {"blocked"}


def test_an_epoch_is_chosen_on_held_out_images_of_both_modalities(tmp_path: Path) -> None:
    two = TWO.replace("epochs: 2", "epochs: 2, choose_epoch: best")
    (result,) = ran(tmp_path, two, "validate: {identities: 2}\n").results
    assert result.status == "ok"
    assert any("of 2 that it saw" in note for note in result.notes)


def test_the_network_is_rebuilt_with_its_modalities(source: Split, tmp_path: Path) -> None:
    embedder = finetune(context(source, tmp_path)[0])
    with pytest.raises(ReidbenchError, match="infrared or visible"):
        embedder(torch.zeros(1, 3, 32, 16))
