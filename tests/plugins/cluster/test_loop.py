"""Clustering methods as loops: starting points, batches, whole runs, kills."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from reidbench import AdaptContext
from reidbench.data import Split, read_market_folder
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix, write_market_folder
from reidbench.training import BackboneEmbedder, Preprocess
from reidbench.training.batches.feed import Plan
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_cluster import domains, loop
from reidbench_cluster.params import ClusterContrastParams, LoopParams, PseudoLabelParams, SpCLParams
from tests.support.contexts import check_resumes, make_context


# ---------------------------------------------------------------------- batch norm
def tiny_embedder(width: int = 4) -> BackboneEmbedder:
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=width), (32, 16))
    network.spec = {}
    return BackboneEmbedder(network, Preprocess((32, 16)), neck=True)


# ---------------------------------------------------------------------- loops
def test_the_source_neck_is_dropped_or_kept() -> None:
    """Adaptation starts from the source's backbone; its BNNeck is dropped unless it is to be kept."""
    start = tiny_embedder()
    with torch.no_grad():
        start.neck.norm.weight.fill_(7)  # type: ignore[union-attr]
    ctx: Any = SimpleNamespace(start=start, image_size=(32, 16), backbone=None)
    fresh, kept = loop.starting_embedder(ctx, keep_neck=False), loop.starting_embedder(ctx)
    assert loop.starting_embedder(ctx, "backbone") is start
    assert fresh.neck.norm.weight.unique().tolist() == [1]  # type: ignore[union-attr]
    assert fresh.backbone is start.backbone
    assert kept is start


def test_another_pooling_has_a_fresh_neck_and_the_same_keeps_its_exponent() -> None:
    """A neck's statistics are those of one pooling; an exponent is part of the network that was trained."""
    average = tiny_embedder()
    gem = BackboneEmbedder(average.backbone, average.preprocess, neck=True, pool="gem")
    with torch.no_grad():
        gem.pool.exponent.fill_(4)  # type: ignore[union-attr]
        for embedder in (average, gem):
            embedder.neck.norm.weight.fill_(7)  # type: ignore[union-attr]

    def started(start: BackboneEmbedder | None, *args: Any, **more: Any) -> list[Any]:
        ctx: Any = SimpleNamespace(start=start, image_size=(32, 16), backbone=lambda: average.backbone)
        found = loop.starting_embedder(ctx, *args, **more)
        exponent = found.pool.exponent.item() if found.pool is not None else None
        return [found.pool_name, exponent, found.neck.norm.weight[0].item()]  # type: ignore[union-attr]

    assert started(average) == ["backbone", None, 7]
    assert started(average, "gem") == ["gem", 3, 1]
    assert started(gem) == ["gem", 4, 7]
    assert started(gem, "gem", keep_neck=False) == ["gem", 4, 1]
    assert started(gem, "backbone") == ["backbone", None, 1]
    assert started(None) == ["backbone", None, 1]
    assert started(None, "gem-fixed") == ["gem-fixed", 3, 1]


def test_sgd_by_hand() -> None:
    """v <- .9 v + (g + decay w), w <- w - lr v; a weight that is not trained stays."""
    network = torch.nn.Linear(1, 1)
    network.bias.requires_grad_(False)
    with torch.no_grad():
        network.weight.fill_(2.0)
    params = ClusterContrastParams(lr=0.1, weight_decay=0.5, optimiser="sgd")
    optimiser = loop.make_optimiser(network, params, params.optimiser)
    weight, speed = 2.0, 0.0
    for gradient in (1.0, -3.0, 0.5):
        network.weight.grad = torch.full((1, 1), gradient)
        optimiser.step()
        speed = 0.9 * speed + gradient + 0.5 * weight
        weight -= 0.1 * speed
        assert network.weight.item() == pytest.approx(weight, rel=1e-6)
    assert isinstance(loop.make_optimiser(network, params), torch.optim.Adam)


def test_defaults_are_the_papers() -> None:
    """Cluster Contrast: 16 x 16 images and 200 steps; SpCL: 64 images and 400 steps."""
    contrast = ClusterContrastParams()
    assert (contrast.identities, contrast.images, contrast.rounds, contrast.iterations) == (16, 16, 50, 200)
    assert (contrast.momentum, contrast.temperature, contrast.update, contrast.pool) == (0.1, 0.05, "cm", "gem")
    assert (contrast.lr, contrast.weight_decay, contrast.lr_step) == (3.5e-4, 5e-4, 0.4)
    assert (contrast.eps, contrast.min_samples, contrast.k1, contrast.k2) == (0.6, 4, 30, 6)
    hybrid = SpCLParams()
    assert (hybrid.identities, hybrid.images, hybrid.rounds, hybrid.iterations) == (16, 4, 50, 400)
    assert (hybrid.momentum, hybrid.temperature, hybrid.pool) == (0.2, 0.05, None)


@pytest.mark.parametrize("clusters", [2, 3, 40])
def test_batches_come_however_few_clusters_there_are(market: Path, clusters: int) -> None:
    split = read_market_folder(market).train.hide()
    params = ClusterContrastParams(iterations=5, identities=4, images=2, batches="by-size")
    labels = np.arange(len(split)) % min(clusters, 8)
    labels[0] = -1
    batches = loop.PseudoLabelBatches(split, Preprocess((32, 16)), params, 0)
    found = list(batches.batches(labels, torch.Generator().manual_seed(0)))
    assert len(found) == 5
    assert not any(0 in indices for _, indices in found)
    assert all(len(images) == len(indices) == 2 * min(clusters, 4) for images, indices in found)


def test_spcl_has_64_images_in_every_step_and_every_class_once_in_a_pass(market: Path) -> None:
    """An early round: few clusters, most images alone. The official batch is 64 for any clusters."""
    split = read_market_folder(market).train.hide()
    labels = np.concatenate([np.zeros(3, int), np.ones(2, int), np.arange(len(split) - 5) + 2])
    batches = loop.PseudoLabelBatches(split, Preprocess((32, 16)), SpCLParams(iterations=7), 0)
    found = list(batches.indices(labels, torch.Generator().manual_seed(0)))
    assert [len(indices) for indices in found] == [64] * 7
    small = loop.PseudoLabelBatches(split, Preprocess((32, 16)), SpCLParams(identities=2, images=4, iterations=2), 0)
    passed = np.concatenate(list(small.indices(labels, torch.Generator().manual_seed(0))))
    assert np.bincount(labels[passed]).max() <= 4
    assert np.bincount(labels[passed])[2:].max() == 1


def test_source_and_target_have_passes_of_their_own(market: Path, tmp_path: Path) -> None:
    """A target of 5 images and a source of 16: each step has 8 of both, regardless of their lengths."""
    source = read_market_folder(market).train
    target = source.hide().subset(np.arange(5))
    params = SpCLParams(iterations=6, identities=4, images=2, k1=2, k2=1, min_samples=2)
    ctx, _ = make_context(
        AdaptContext, tmp_path, params, target=target, source=source, backbone=lambda: None, start=tiny_embedder()
    )
    joint = domains.DomainBatches(ctx, tiny_embedder().preprocess, source)
    steps = list(joint.steps(np.array([0, 0, 0, 1, 2]), torch.Generator().manual_seed(0)))
    assert [(len(step.source), len(step.target)) for step in steps] == [(8, 8)] * 6
    # Four identities with two images each are a pass of the source, which is one batch.
    assert all(np.bincount(joint.source_labels[step.source]).tolist() == [2, 2, 2, 2] for step in steps)
    assert len(np.unique(np.concatenate([step.source for step in steps]))) > 8
    assert all(len(step.views) == 1 and len(step.views[0]) == 16 for step in steps)


def test_views_are_of_the_same_images_with_other_augmentations(market: Path, tmp_path: Path) -> None:
    """Without augmentation they are equal: the images in the order of their indices, source before target."""
    source = read_market_folder(market).train
    target = source.hide()
    labels = np.arange(len(target)) % 2
    for given, equal in (({}, False), ({"flip": 0, "pad": 0, "erase": 0}, True)):
        params = SpCLParams(iterations=2, identities=2, images=2, **given)
        ctx, _ = make_context(AdaptContext, tmp_path, params, target=target, source=source, backbone=lambda: None)
        joint = domains.DomainBatches(ctx, Preprocess((32, 16)), source)
        for step in joint.steps(labels, torch.Generator().manual_seed(0), views=2):
            first, second = step.views
            assert torch.equal(first, second) == equal
            if equal:
                own = [joint.source.feed.make(Plan(step.source)), joint.target.feed.make(Plan(step.target))]  # type: ignore[union-attr]
                assert torch.equal(first, torch.cat(own))


@pytest.mark.parametrize("params", [PseudoLabelParams, ClusterContrastParams, SpCLParams])
def test_batches_by_camera_are_an_option_that_the_protocol_names(params: type[LoopParams], market: Path) -> None:
    plain, told = params(), params(batches="cameras", identities=4, images=2, iterations=3)
    assert (plain.cameras(), told.cameras()) == (frozenset(), {"cameras"})
    split = read_market_folder(market).train.hide()
    labels = np.zeros(len(split), int)
    for camera in np.unique(split.camids):  # both clusters have images of each camera
        labels[np.flatnonzero(split.camids == camera)[::2]] = 1
    batches = loop.PseudoLabelBatches(split, Preprocess((32, 16)), told, 0)
    for indices in batches.indices(labels, torch.Generator().manual_seed(0)):
        pairs = split.camids[indices].reshape(-1, 2)
        assert (pairs[:, 0] != pairs[:, 1]).all()


ADAPT = "rounds: 2, iterations: 3, identities: 4, images: 2, lr: 1e-3, k1: 6, k2: 2, min_samples: 2"
METHODS = {
    "adabn": "{use: adabn, batch: 8}",
    "pseudo-label": f"{{use: pseudo-label, {ADAPT}}}",
    "circular": f"{{use: pseudo-label, clustering: circular, {ADAPT}}}",
    "k-means": f"{{use: pseudo-label, clustering: k-means, clusters: 4, {ADAPT}}}",
    "agglomerative": f"{{use: pseudo-label, clustering: agglomerative, threshold: 0.1, {ADAPT}}}",
    "cluster-contrast": f"{{use: cluster-contrast, {ADAPT}}}",
    "cm by camera": f"{{use: cluster-contrast, batches: cameras, {ADAPT}}}",
    "gem": f"{{use: pseudo-label, pool: gem, clustering: k-means, clusters: 4, {ADAPT}}}",
    "sgd": f"{{use: cluster-contrast, preset: transreid-ssl, {ADAPT}}}",
    "hard": f"{{use: cluster-contrast, pool: backbone, update: hard, {ADAPT}}}",
    "spcl": f"{{use: spcl, {ADAPT}}}",
    "strong-baseline": f"{{use: strong-baseline, {ADAPT}}}",
    "mmt": f"{{use: mmt, clusters: 4, {ADAPT}}}",
    "mmt with source": f"{{use: mmt, preset: openunreid, batches: once, {ADAPT}}}",
    "all noise": f"{{use: cluster-contrast, {ADAPT.replace('min_samples: 2', 'min_samples: 900')}}}",
    "spcl noise": f"{{use: spcl, {ADAPT.replace('min_samples: 2', 'min_samples: 900')}}}",
    "one cluster": "{use: pseudo-label, clustering: circular, threshold: 3.0, rounds: 1, iterations: 2}",
}


def matrix(roots: dict[str, Path], methods: str, task: str = "source: source, target: target") -> str:
    data = ", ".join(f"{name}: {{use: csv-manifest, root: {root}}}" for name, root in roots.items())
    return (
        f"image_size: [32, 16]\ndata: {{{data}}}\ntasks: {{t: {{{task}}}}}\n"
        f"backbone: {{use: resnet-tiny, width: 4}}\nmethods: {methods}\n"
    )


def manifest(folder: Path, split: dict[str, Split], name: str, *, poison: bool = False) -> Path:
    """A CSV of a folder's images; in the poisoned one the train images have swapped identities."""
    rows = ["path,pid,camid,split"]
    for part, images in split.items():
        pids = images.pids[::-1] if poison and part == "train" else images.pids
        rows += [f"{p},{pid},{c},{part}" for p, pid, c in zip(images.paths, pids, images.camids, strict=True)]
    file = folder / f"{name}.csv"
    file.write_text("\n".join(rows) + "\n")
    return file


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A source, a target, and the same target with poisoned train labels."""
    roots = {}
    for number, name in enumerate(("source", "target")):
        folder = write_market_folder(
            tmp_path_factory.mktemp("w") / name, identities=6, cameras=2, images=3, seed=number
        )
        parts = read_market_folder(folder).parts()
        roots[name] = manifest(folder, parts, name)
        if name == "target":
            roots["poisoned"] = manifest(folder, parts, "poisoned", poison=True)
    return roots


def embedders(store: Store, use: str) -> list[bytes]:
    keys = [key for key in store.keys() if store.manifest(key).manifest["stage"]["use"] == use]  # noqa: SIM118
    return [(store.path(key) / "embedder.safetensors").read_bytes() for key in sorted(keys)]


@pytest.mark.slow
def test_every_method_runs_and_no_target_label_is_read(tmp_path: Path, worlds: dict[str, Path]) -> None:
    """Poisoned target labels give bit-identical weights; a row whose rounds were all skipped has a note."""
    kinds = ("adabn", "pseudo-label", "cluster-contrast", "spcl", "strong-baseline", "mmt")
    boards = {}
    for name, tried in (("target", METHODS), ("poisoned", {kind: METHODS[kind] for kind in kinds})):
        recipes = (f"{m}: {{finetune: {{use: bot, epochs: 2, images: 2}}, adapt: {use}}}" for m, use in tried.items())
        roots = {"source": worlds["source"], "target": worlds[name]}
        (tmp_path / name).mkdir()
        boards[name] = run_matrix(matrix(roots, f"{{{', '.join(recipes)}}}"), tmp_path / name)
        assert {(r.row.method, r.status, r.error) for r in boards[name].results} == {(m, "ok", "") for m in tried}
    notes = {result.row.method: " ".join(result.notes) for result in boards["target"].results}
    assert "2 of 2 rounds were skipped, for lack of clusters to distinguish: nothing was trained" in notes["all noise"]
    assert "skipped" not in notes["cluster-contrast"]
    assert "the last clustering has no cluster and 36 outliers among 36 images" in notes["spcl noise"]
    clean, poisoned = (Store(tmp_path / name / "store") for name in ("target", "poisoned"))
    for use in kinds:
        (found,) = embedders(poisoned, use)
        assert found in embedders(clean, use)
    for key in clean.keys():  # noqa: SIM118
        stage = clean.manifest(key).manifest
        if stage["stage"]["use"] == "spcl":
            assert {"clusters", "outliers", "purity"} <= stage["metrics"].keys()
            lines = [json.loads(line) for line in (clean.path(key) / "log.jsonl").read_text().splitlines()]
            assert len(lines) == 2


@pytest.mark.slow
def test_unsupervised_from_a_backbone_alone(tmp_path: Path, worlds: dict[str, Path]) -> None:
    tried = ("adabn", "pseudo-label", "cluster-contrast", "spcl", "strong-baseline", "mmt")
    recipes = ", ".join(f"{name}: {{adapt: {METHODS[name]}}}" for name in tried)
    board = run_matrix(matrix({"target": worlds["target"]}, f"{{{recipes}}}", "target: target"), tmp_path)
    assert {(result.status, result.error) for result in board.results} == {("ok", "")}
    assert all("source labels" not in result.row.protocol for result in board.results)
    assert not any("cameras" in result.row.protocol for result in board.results)


def test_batches_by_camera_are_in_the_protocol_column(tmp_path: Path, worlds: dict[str, Path]) -> None:
    methods = f"{{cm: {{adapt: {METHODS['cm by camera']}}}}}"
    board = run_matrix(matrix({"target": worlds["target"]}, methods, "target: target"), tmp_path)
    assert [(result.status, result.error) for result in board.results] == [("ok", "")]
    assert "cameras" in board.results[0].row.protocol.split(", ")


@pytest.mark.parametrize(
    ("use", "given"),
    [
        ("pseudo-label", {}),
        ("cluster-contrast", {}),
        ("spcl", {}),
        ("strong-baseline", {}),
        ("mmt", {"clusters": 4, "use_source": True}),
    ],
)
def test_a_killed_adaptation_ends_bit_identical(
    use: str, given: dict[str, Any], tmp_path: Path, market: Path, registry: plugins.Registry
) -> None:
    component, train = registry.get("adapter", use), read_market_folder(market).train
    params = component.params(**yaml.safe_load(f"{{{ADAPT}}}"), **given)

    def made(out: Path, die_after: int) -> Any:
        return make_context(
            AdaptContext, out, params, die_after=die_after, target=train.hide(), source=train, backbone=lambda: None,
            start=tiny_embedder(),
        )  # fmt: skip

    check_resumes(tmp_path, made, component.load(), 1)
