"""Recipes of CFS and of its list by hand, and a stand-in for a published list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reidbench import SelectContext
from reidbench.components import ContentHashed, load_attribute
from reidbench.data import read_market_folder
from reidbench.errors import DataError
from reidbench.matrix.benchmark import marker
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry
from reidbench.testing import write_market_folder
from reidbench.training import Backbone
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_cfs import cluster, ranking, released
from reidbench_cfs.params import ListParams
from tests.support.contexts import make_context
from tests.support.recipes import preset, rehearsed

pytestmark = pytest.mark.usefixtures("one_thread")
Matrix = Callable[..., Path]
LUPERSON = 4_180_243


def chosen(matrix: Matrix, registry: Registry, name: str, auxiliary: str) -> dict[str, Any]:
    """Return the full parameters of a preset of cfs in a matrix file."""
    file = matrix(
        tasks=f"{{tiny: {{source: tiny, target: tiny, pool: tiny{auxiliary}}}}}",
        methods=f"{{m: {{select: {{use: cfs, preset: {name}}}, pretrain: dino, finetune: none}}}}",
    )
    bench = reader.read(file, registry)
    (found,) = (choice for step, choice in bench.methods[0].steps if step == "select")
    return dict(found.resolved)


@pytest.mark.parametrize(
    ("name", "kept", "auxiliary"), [("paper", 2_090_122, ""), ("code", 2_508_146, ", auxiliary: tiny")]
)
def test_cfs_keeps_the_published_counts_by_the_authors_proxies(
    name: str, kept: int, auxiliary: str, matrix: Matrix, registry: Registry
) -> None:
    """Issue 3 of the repository: a plain ViT-S, 20 epochs of DINO, then 120 of fine-tuning at 4e-4."""
    params, settings = preset(registry.get("selector", "cfs"), name)
    assert settings == {}
    assert (params.order, ranking.keep_count(params.keep, LUPERSON)) == ("highest", kept)
    found = chosen(matrix, registry, name, auxiliary)
    proxy, target = found["proxy"], found["target_proxy"]
    assert (proxy["use"], proxy["epochs"], proxy["batch"], proxy["held_out"]) == ("dino", 20, 512, 0)
    assert proxy["backbone"]["use"] == "vit-small"
    assert (target["use"], target["epochs"], target["lr"], target["jpm"]) == ("transreid", 120, 4e-4, False)
    assert target.get("data") == ("auxiliary" if name == "code" else None)


def test_the_list_is_cut_at_the_published_counts(registry: Registry) -> None:
    component = registry.get("selector", "list")
    counts = {name: (values["by"], values["count"]) for name, values in component.presets.items()}
    assert counts == {"code": ("name", 2_508_146), "half": ("name", 2_090_122)}


@pytest.mark.parametrize(
    ("file", "by"),
    [("CFS_list.pkl", "name"), ("a.txt", "stem"), ("a.csv", "path"), ("a.csv", "id"), ("a.parquet", "name")],
)
def test_what_stands_for_a_list_has_every_image_of_the_pool(
    file: str, by: Any, tmp_path: Path, registry: Registry
) -> None:
    """A rehearsal uses the whole list, for any number of entries in the user's own."""
    if file.endswith("parquet"):
        pytest.importorskip("pyarrow")
    pool = read_market_folder(write_market_folder(tmp_path / "pool", identities=5)).train.hide()
    names = [*read_market_folder(tmp_path / "pool").train.paths]
    component = registry.get("selector", "list")
    mark = marker(component.params.model_fields["file"], ContentHashed)
    asked = ListParams(file=Path("of/the/user") / file, by=by, count=2_508_146)
    path = load_attribute(mark.stand_in)(asked, tmp_path / "stand-in", names)
    assert path == tmp_path / "stand-in" / file
    params = rehearsed(component, file=path, by=by, count=2_508_146, keep=0.1)
    ctx, _ = make_context(
        SelectContext, tmp_path / "out", params, pool=pool, network=lambda name: None, backbone=lambda: None, truth=None
    )
    np.testing.assert_array_equal(released.select(ctx).indices, np.arange(len(pool)))


def test_a_handful_of_images_is_enough_to_rehearse_a_clustering(tmp_path: Path, registry: Registry) -> None:
    """The default of fifty clusters would leave each of twelve images alone."""
    pool = read_market_folder(write_market_folder(tmp_path / "pool", identities=3)).train.hide()
    component = registry.get("selector", "cluster")

    def chosen(params: Any, out: Path) -> Any:
        ctx, _ = make_context(
            SelectContext, out, params, pool=pool, network=lambda name: network(), backbone=network, truth=None
        )
        return cluster.select(ctx)

    with pytest.raises(DataError, match="50 clusters leave each of 12 images alone"):
        chosen(component.params(), tmp_path / "default")
    assert len(chosen(rehearsed(component), tmp_path / "short").indices) == 6


def network() -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        made = resnet_tiny(TinyParams(width=4), (32, 16))
    made.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]}
    return made
