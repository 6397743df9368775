"""Clustering methods: memories, reliability and loops, against the released code's rules and by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import nn

from reidbench.components import AdaptContext
from reidbench.data import Split, read_market_folder
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix, write_market_folder
from reidbench.training import BackboneEmbedder, Preprocess
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_cluster import adabn, domain_norm, loop, memory, reliability
from reidbench_cluster.params import AdaBNParams, ClusterContrastParams
from tests.support.contexts import check_resumes, make_context


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


# ---------------------------------------------------------------------- Cluster Contrast's memory
def test_outliers_have_no_row_and_rows_are_unit_means() -> None:
    """Row k is the unit mean of the features of cluster k."""
    features, labels = unit(7, 4), torch.tensor([0, 0, 1, 1, 1, -1, -1])
    bank = memory.ClusterMemory(features, labels)
    assert bank.rows.shape == (2, 4)
    assert torch.allclose(bank.rows[1], F.normalize(features[2:5].mean(0), dim=0))
    loss = bank(features[:4].requires_grad_(), labels[:4])
    loss.backward()
    assert torch.allclose(bank.rows.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("update", ["mean", "hard"])
def test_a_row_moves_once_per_step_and_only_in_backward(update: Any) -> None:
    """L2(.2 old + .8 chosen), hardest = lowest cosine."""
    features, labels = unit(6, 4), torch.tensor([0, 0, 0, 1, 1, 1])
    bank = memory.ClusterMemory(unit(6, 4, seed=1), labels, update=update)
    before = bank.rows.clone()
    batch = features[:3].clone().requires_grad_()
    loss = bank(batch, labels[:3])
    assert torch.equal(bank.rows, before)  # forward alone moves nothing
    loss.backward()
    chosen = features[:3].mean(0) if update == "mean" else features[:3][(features[:3] @ before[0]).argmin()]
    assert torch.allclose(bank.rows[0], F.normalize(0.2 * before[0] + 0.8 * chosen, dim=0), atol=1e-6)
    assert torch.equal(bank.rows[1], before[1])  # no image of it in the batch


def test_gradient_is_that_of_a_frozen_softmax() -> None:
    """No gradient flows into the memory; that of the features is plain cross-entropy's (1e-6)."""
    labels = torch.tensor([0, 1, 2, 1])
    bank = memory.ClusterMemory(unit(12, 5, seed=1), torch.arange(12) % 3, temperature=0.05)
    frozen = bank.rows.clone()
    ours, reference = (unit(4, 5).requires_grad_() for _ in range(2))
    bank(ours, labels).backward()
    F.cross_entropy(reference @ frozen.t() / 0.05, labels).backward()
    assert ours.grad is not None
    assert torch.allclose(ours.grad, reference.grad, atol=1e-6)
    assert not bank.rows.requires_grad


# ---------------------------------------------------------------------- SpCL's memory
def test_hybrid_rows_move_one_image_after_the_other() -> None:
    """Rows are unit after every step, unchanged without backward, row y = norm(.2 v + .8 f)."""
    bank = memory.HybridMemory(unit(5, 4) * 3)
    before = bank.rows.clone()
    assert torch.allclose(before.norm(dim=1), torch.ones(5))
    features = unit(3, 4, seed=2).requires_grad_()
    loss = bank(features, torch.tensor([1, 3, 1]))
    assert torch.equal(bank.rows, before)
    loss.backward()
    once = F.normalize(0.2 * before[1] + 0.8 * features[0].detach(), dim=0)
    assert torch.allclose(bank.rows[1], F.normalize(0.2 * once + 0.8 * features[2].detach(), dim=0), atol=1e-6)
    assert torch.allclose(bank.rows[3], F.normalize(0.2 * before[3] + 0.8 * features[1].detach(), dim=0), atol=1e-6)
    assert torch.allclose(bank.rows.norm(dim=1), torch.ones(5))
    assert torch.equal(bank.rows[[0, 2, 4]], before[[0, 2, 4]])


def test_hybrid_loss_by_hand() -> None:
    """A class's similarity is the mean over its rows, not that with the normalised centroid."""
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    bank = memory.HybridMemory(rows, temperature=1.0)
    bank.labels.copy_(torch.tensor([0, 0, 1]))
    feature = torch.tensor([[0.6, 0.8]])
    similar = [(0.6 + 0.8) / 2, -0.6]
    share = math.exp(similar[0]) / (math.exp(similar[0]) + math.exp(similar[1]))
    assert bank(feature, torch.tensor([1])).item() == pytest.approx(-math.log(share), abs=1e-5)


def test_hybrid_classes_are_clusters_and_outliers() -> None:
    """The softmax has as many classes as clusters + outliers (+ source classes); gaps do no harm."""
    bank = memory.HybridMemory(unit(6, 4))
    bank.labels.copy_(torch.tensor([0, 0, 2, 2, 5, 7]).clamp_max(5))
    feature = unit(1, 4, seed=3)
    loss = bank(feature, torch.tensor([4]))
    classes = torch.stack([bank.rows[[0, 1]].mean(0), bank.rows[[2, 3]].mean(0), bank.rows[[4, 5]].mean(0)])
    assert loss.item() == pytest.approx(
        F.cross_entropy(feature @ classes.t() / 0.05, torch.tensor([2])).item(), abs=1e-4
    )


# ---------------------------------------------------------------------- reliability
def test_distances_between_clusterings_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    others = np.array([0, 0, 1, 1, 1])
    # image 0: {0,1,2} and {0,1}: 1 - 2/3; image 2: {0,1,2} and {2,3,4}: 1 - 1/5; image 3: {3,4} and {2,3,4}: 1 - 2/3
    assert reliability.distance_to(labels, others) == pytest.approx([1 / 3, 1 / 3, 4 / 5, 1 / 3, 1 / 3])
    assert reliability.singled(np.array([0, -1, 0, -1])).tolist() == [0, 1, 0, 2]


def test_unreliable_images_and_clusters_become_instances() -> None:
    labels = np.array([0, 0, 0, 1, 1, -1])
    looser = np.array([0, 0, 0, 1, 1, 1])  # cluster 1 grows: independence 1 - 2/3
    tighter = np.array([0, 0, -1, 1, 1, -1])  # the third image leaves cluster 0
    kept, threshold = reliability.reliable_labels(labels, looser, tighter, None, quantile=0.5)
    # sorted independence [0, 1/3]; round(2 * .5) = the second
    assert threshold == pytest.approx(1 / 3)
    assert kept.tolist() == [0, 0, -1, 1, 1, -1]
    kept, same = reliability.reliable_labels(labels, looser, tighter, 0.1)
    assert same == 0.1
    assert kept.tolist() == [0, 0, -1, -1, -1, -1]


def test_all_outliers_still_have_a_threshold() -> None:
    """The percentile of an empty list must not crash."""
    nothing = np.full(4, -1)
    kept, threshold = reliability.reliable_labels(nothing, nothing, nothing, None)
    assert kept.tolist() == [-1] * 4
    assert threshold == 1.0


# ---------------------------------------------------------------------- batch norm
def test_halves_are_normalised_apart_and_evaluation_uses_the_target() -> None:
    """Evaluation uses the target's batch norm."""
    network = nn.Sequential(nn.BatchNorm1d(3))
    domain_norm.split_norms(network)
    batch = torch.cat([torch.randn(32, 3) + 10, torch.randn(32, 3) - 5])
    out = network(batch)
    assert out[:32].mean(0).abs().max() < 1e-5
    assert out[32:].mean(0).abs().max() < 1e-5
    pair = network[0]
    assert pair.source.running_mean.mean() > 0 > pair.target.running_mean.mean()
    network.eval()
    assert torch.equal(network(batch), pair.target(batch))
    domain_norm.keep_target_norms(network)
    assert isinstance(network[0], nn.BatchNorm1d)
    assert network[0].running_mean is not None
    assert network[0].running_mean.mean() < 0


def tiny_embedder(width: int = 4) -> BackboneEmbedder:
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=width), (32, 16))
    network.spec = {}
    return BackboneEmbedder(network, Preprocess((32, 16)), neck=True)


def test_adabn_changes_statistics_and_no_weight(market: Path) -> None:
    embedder = tiny_embedder()
    split = read_market_folder(market).train.hide()
    before = {name: tensor.clone() for name, tensor in embedder.state_dict().items()}
    adabn.estimate(embedder, split, AdaBNParams(batch=16), torch.Generator().manual_seed(0))
    after = embedder.state_dict()
    assert all(torch.equal(after[name], before[name]) for name, _ in embedder.named_parameters())
    pixels = torch.from_numpy(np.stack([split.image(index) for index in range(16)]))
    with torch.no_grad():
        stem = embedder.backbone.stem[0](embedder.preprocess.normalise(pixels))  # type: ignore[index]
    # one batch of all 16 images: the first norm's statistics are those of the whole target
    assert torch.allclose(after["backbone.stem.1.running_mean"], stem.mean((0, 2, 3)), atol=1e-4)
    assert torch.allclose(after["backbone.stem.1.running_var"], stem.var((0, 2, 3)), rtol=1e-3)
    assert not embedder.training
    assert embedder.neck.norm.momentum == 0.1  # type: ignore[union-attr]


# ---------------------------------------------------------------------- loops
def test_the_source_neck_is_dropped_or_kept() -> None:
    """Adaptation starts from the source's backbone; its BNNeck goes, unless it is to be kept."""
    from types import SimpleNamespace

    start = tiny_embedder()
    with torch.no_grad():
        start.neck.norm.weight.fill_(7)  # type: ignore[union-attr]
    ctx: Any = SimpleNamespace(start=start, image_size=(32, 16), backbone=None)
    fresh, kept = loop.starting_embedder(ctx, keep_neck=False), loop.starting_embedder(ctx)
    assert fresh.neck.norm.weight.unique().tolist() == [1]  # type: ignore[union-attr]
    assert fresh.backbone is start.backbone
    assert kept is start


@pytest.mark.parametrize("clusters", [2, 3, 40])
def test_batches_come_however_few_clusters_there_are(market: Path, clusters: int) -> None:
    split = read_market_folder(market).train.hide()
    params = ClusterContrastParams(iterations=5, identities=4, images=2)
    labels = np.arange(len(split)) % min(clusters, 8)
    labels[0] = -1
    batches = loop.PseudoLabelBatches(split, Preprocess((32, 16)), params, 0)
    found = list(batches.batches(labels, torch.Generator().manual_seed(0)))
    assert len(found) == 5
    assert not any(0 in indices for _, indices in found)
    assert all(len(images) == len(indices) == 2 * min(clusters, 4) for images, indices in found)


ADAPT = "rounds: 2, iterations: 3, identities: 4, images: 2, lr: 1e-3, k1: 6, k2: 2, min_samples: 2"
METHODS = {
    "adabn": "{use: adabn, batch: 8}",
    "pseudo-label": f"{{use: pseudo-label, {ADAPT}}}",
    "circular": f"{{use: pseudo-label, clustering: circular, {ADAPT}}}",
    "k-means": f"{{use: pseudo-label, clustering: k-means, clusters: 4, {ADAPT}}}",
    "agglomerative": f"{{use: pseudo-label, clustering: agglomerative, threshold: 0.1, {ADAPT}}}",
    "cluster-contrast": f"{{use: cluster-contrast, {ADAPT}}}",
    "hard": f"{{use: cluster-contrast, update: hard, {ADAPT}}}",
    "spcl": f"{{use: spcl, {ADAPT}}}",
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
    """A CSV of a folder's images; poisoned, the train images have each other's identities."""
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


def test_every_method_runs_and_no_target_label_is_read(tmp_path: Path, worlds: dict[str, Path]) -> None:
    """Poisoned target labels give bit-identical weights; a row whose rounds were all skipped says so."""
    kinds = ("adabn", "pseudo-label", "cluster-contrast", "spcl")
    boards = {}
    for name, tried in (("target", METHODS), ("poisoned", {kind: METHODS[kind] for kind in kinds})):
        recipes = (f"{m}: {{finetune: {{use: bot, epochs: 2, images: 2}}, adapt: {use}}}" for m, use in tried.items())
        roots = {"source": worlds["source"], "target": worlds[name]}
        (tmp_path / name).mkdir()
        boards[name] = run_matrix(matrix(roots, f"{{{', '.join(recipes)}}}"), tmp_path / name)
        assert {(r.row.method, r.status, r.error) for r in boards[name].results} == {(m, "ok", "") for m in tried}
    notes = {result.row.method: " ".join(result.notes) for result in boards["target"].results}
    assert "2 of 2 rounds were skipped, for lack of clusters to tell apart: nothing was trained" in notes["all noise"]
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


def test_unsupervised_from_a_backbone_alone(tmp_path: Path, worlds: dict[str, Path]) -> None:
    recipes = ", ".join(f"{n}: {{adapt: {METHODS[n]}}}" for n in ("adabn", "pseudo-label", "cluster-contrast", "spcl"))
    board = run_matrix(matrix({"target": worlds["target"]}, f"{{{recipes}}}", "target: target"), tmp_path)
    assert {(result.status, result.error) for result in board.results} == {("ok", "")}
    assert all("source labels" not in result.row.protocol for result in board.results)


@pytest.mark.parametrize("use", ["pseudo-label", "cluster-contrast", "spcl"])
def test_a_killed_adaptation_ends_bit_identical(
    use: str, tmp_path: Path, market: Path, registry: plugins.Registry
) -> None:
    component, train = registry.get("adapter", use), read_market_folder(market).train
    params = component.params(**yaml.safe_load(f"{{{ADAPT}}}"))

    def made(out: Path, die_after: int) -> Any:
        return make_context(
            AdaptContext, out, params, die_after=die_after, target=train.hide(), source=train, backbone=lambda: None,
            start=tiny_embedder(),
        )  # fmt: skip

    check_resumes(tmp_path, made, component.load(), 1)
