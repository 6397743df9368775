"""Training on translated images: the images that it sees, fixed norms, parts, resume; and a run from file to table."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from reidbench import AdaptContext, PrepareContext
from reidbench.data import Split
from reidbench.errors import DataError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry
from reidbench.testing import run_matrix
from reidbench.training import Backbone, Preprocess
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_spgan.adapt import PartEmbedder, adapt
from reidbench_spgan.files import write_translations
from reidbench_spgan.params import SpganTrainingParams, TranslationParams
from tests.support.contexts import NEVER, Lines, check_resumes, make_context, same, weights, with_workers_where_cut

pytestmark = pytest.mark.usefixtures("one_thread")
Pair = tuple[Split, Split]
SMALL: dict[str, Any] = {"epochs": 2, "batch": 4, "lr": 0.01}


def backbone() -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = resnet_tiny(TinyParams(width=4), (32, 16))
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]}
    return network


@pytest.fixture(scope="module")
def copies(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of translations that are exact copies."""
    hidden, out = pair[0].hide(), tmp_path_factory.mktemp("copies") / "out"
    ctx, _ = make_context(PrepareContext, out, TranslationParams(), image_size=(16, 16), split=hidden)
    write_translations(ctx, lambda rows: np.array([hidden.image(row) for row in rows.tolist()]), (16, 16), quality=None)
    return out


def context(
    pair: Pair, out: Path, copies: Path | None, *, die_after: int = NEVER, source: Split | None = None, **params: Any
) -> tuple[AdaptContext, Lines]:
    chosen = SpganTrainingParams(**{**SMALL, **({} if copies else {"translation": None}), **params})
    return make_context(
        AdaptContext, out, chosen, die_after=die_after, seed=5, prepared={"translation": copies} if copies else {},
        target=pair[1].hide(), source=source or pair[0], backbone=backbone,
    )  # fmt: skip


def test_it_trains_on_the_translations(pair: Pair, copies: Path, tmp_path: Path) -> None:
    """Exact copies give the network of the source itself; other images another one."""
    plain = adapt(context(pair, tmp_path / "plain", None)[0])
    assert same(plain, adapt(context(pair, tmp_path / "copies", copies)[0]))
    darker = tmp_path / "darker"
    (darker / "images").mkdir(parents=True)
    for file in (copies / "images").iterdir():
        Image.open(file).point(lambda value: value // 2).save(darker / "images" / file.name)
    assert not same(plain, adapt(context(pair, tmp_path / "other", darker)[0]))


def test_the_loss_starts_at_log_of_the_identities(pair: Pair, copies: Path, tmp_path: Path) -> None:
    ctx, lines = context(pair, tmp_path, copies, epochs=1, lr=1e-9)
    adapt(ctx)
    assert lines[0]["loss"] == pytest.approx(math.log(4), abs=0.05)
    assert lines[0]["steps"] == 4


@pytest.mark.parametrize("fixed", [True, False])
def test_batch_norms_are_kept_if_fixed(fixed: bool, pair: Pair, copies: Path, tmp_path: Path) -> None:
    """Statistics, scale and shift; all convolutions are trained."""
    start, trained = weights(backbone()), weights(adapt(context(pair, tmp_path, copies, fix_norms=fixed)[0]).backbone)
    norms = [name for name, module in backbone().named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    for name, tensor in trained.items():
        of_norm = name.rpartition(".")[0] in norms
        assert torch.equal(tensor, start[name]) == (of_norm and fixed), name


def test_rates_are_the_solvers(pair: Pair, copies: Path, tmp_path: Path) -> None:
    """A tenth after 40 % and 80 % of the epochs."""
    ctx, lines = context(pair, tmp_path, copies, epochs=5, lr=0.01)
    adapt(ctx)
    assert [line["lr"] for line in lines] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-4])


def test_parts_are_maxima_of_rows() -> None:
    """Local max pooling of a map of 8 rows in 4 parts, and the pooled vector, both of unit length."""
    network = backbone()
    images = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features = network.eval()(images)
        parts = PartEmbedder(network, Preprocess((64, 32)), parts=4).eval()(images)
        pooled = PartEmbedder(network, Preprocess((64, 32))).eval()(images)
    assert features.map.shape[2] % 4 == 0
    rows = features.map.reshape(2, network.dim, 4, -1).amax(3).flatten(1)
    assert torch.allclose(parts, rows / rows.norm(dim=1, keepdim=True), atol=1e-6)
    assert torch.allclose(pooled, features.vector / features.vector.norm(dim=1, keepdim=True), atol=1e-6)


def test_killed_and_resumed_is_uninterrupted(pair: Pair, copies: Path, tmp_path: Path) -> None:
    def made(out: Path, die_after: int) -> Any:
        return with_workers_where_cut(context(pair, out, copies, die_after=die_after, epochs=3), out)

    trained, lines = check_resumes(tmp_path, made, adapt, 1)
    assert len(lines) == 3
    assert trained.spec["parts"] == 0


def test_a_source_of_one_identity_is_refused(pair: Pair, copies: Path, tmp_path: Path) -> None:
    one = pair[0].subset(np.flatnonzero(pair[0].pids == pair[0].pids[0]))
    with pytest.raises(DataError, match="spgan needs a source with at least two identities"):
        adapt(context(pair, tmp_path, copies, source=one)[0])


# ---------------------------------------------------------------------- in a matrix file
MATRIX = """
image_size: [32, 16]
seeds: [0, 1]
data:
  a: {{use: market-folder, root: {a}}}
  b: {{use: market-folder, root: {b}}}
tasks:
  a->b: {{source: a, target: b}}
  b->a: {{source: b, target: a}}
backbone: {{use: resnet-tiny, width: 4}}
methods:
  direct: {{adapt: {{use: spgan, translation: null, epochs: 1, batch: 4}}}}
  spgan:
    adapt:
      use: spgan
      epochs: 1
      batch: 4
      translation: &small
        {{use: spgan, size: [16, 16], channels: 4, blocks: 1, critic_channels: 4, critic_layers: 2, steps: 2}}
  longer: {{adapt: {{use: spgan, epochs: 2, batch: 4, translation: *small}}}}
"""


def text(pair: Pair) -> str:
    return MATRIX.format(a=pair[0].root, b=pair[1].root)


def test_one_translation_serves_all_rows_and_seeds_of_a_task(pair: Pair, tmp_path: Path, registry: Registry) -> None:
    """Its inputs are all source and target images without labels, and its label names both."""
    file = tmp_path / "matrix.yaml"
    file.write_text(text(pair))
    found = plan.expand(reader.read(file, registry))
    made = [stage for stage in found.stages.values() if stage.kind == "prepare"]
    assert [stage.label for stage in made] == [
        "prepare spgan [a, b, seed 0]", "prepare spgan [b, a, seed 0]",
    ]  # fmt: skip
    for stage in made:
        assert [(given.role, given.part, given.hidden) for given in stage.data] == [
            ("split", "train", True), ("target", "train", True),
        ]  # fmt: skip
    assert {row.protocol for row in found.rows} == {"source labels, target images, AP step"}
    users = [stage for stage in found.stages.values() if made[0].key in dict(stage.parents).values()]
    assert len(users) == 4  # two rows, two seeds


@pytest.mark.slow
def test_a_run_ends_in_a_table(pair: Pair, tmp_path: Path) -> None:
    board = run_matrix(text(pair), tmp_path)
    assert {result.row.method for result in board.results} == {"direct", "spgan", "longer"}
    assert all(result.status == "ok" for result in board.results), [result.error for result in board.results]
