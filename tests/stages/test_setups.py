"""Steps with their own networks and image sizes: all weights of the previous step are used, or none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from reidbench.data import Split
from reidbench.registry import plugins
from reidbench.report import Leaderboard
from reidbench.report.results import Result
from reidbench.stages.networks import build_backbone
from reidbench.stages.record import Record
from reidbench.store.artifact import Artifact
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix
from reidbench.training.contrastive.params import LUP_MEAN, LUP_STD

MOCO = "use: moco-v2, epochs: 1, batch: 8, queue: 8, splits: 2, dim: 8"
DINO = "use: dino, epochs: 1, batch: 8, warmup_epochs: 0, out_dim: 16, hidden_dim: 8, bottleneck_dim: 8, local_crops: 2"
BOT = "use: bot, epochs: 1, identities: 4, images: 2"
VIT = "{use: vit-tiny, dim: 12, depth: 1, heads: 2}"
Run = Callable[..., Leaderboard]


@pytest.fixture
def run(tmp_path: Path, market: Path) -> Run:
    """Runs methods on one task with a pool; the images have 32x16 and the network is resnet-tiny."""

    def ran(methods: str, folder: str = "one", jobs: int = 0) -> Leaderboard:
        (tmp_path / folder).mkdir(exist_ok=True)
        text = f"""
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{source: tiny, target: tiny, pool: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {methods}
"""
        return run_matrix(text, tmp_path / folder, jobs=jobs)

    return ran


def the_result(board: Leaderboard, method: str = "m") -> Result:
    (found,) = [result for result in board.results if result.row.method == method]
    assert found.status == "ok", found.error
    return found


def artifact(store: Store, kind: str) -> Artifact:
    (found,) = [key for key in sorted(store.keys()) if store.manifest(key).manifest["stage"]["kind"] == kind]
    return store.read(found)


def spec_of(embedder: Artifact) -> dict[str, Any]:
    return dict(json.loads((embedder.path / "embedder.json").read_text())["spec"])


def tensors(folder: Path, prefix: str = "") -> dict[str, torch.Tensor]:
    (file,) = folder.glob("*.safetensors")
    return {name.removeprefix(prefix): tensor for name, tensor in load_file(file).items()}


def query_images(store: Store, market: Path, size: tuple[int, int], resample: int = 2) -> torch.Tensor:
    """[Q, H, W, 3]: the query's pictures, brought to a size by Pillow."""
    from PIL import Image

    split = Split.load(artifact(store, "data").path / "query.json", market)
    pictures = [Image.open(split.root / path).convert("RGB").resize(size[::-1], resample) for path in split.paths]
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))


@pytest.mark.slow
def test_a_pretraining_at_stride_2_goes_on_at_stride_1_and_twice_the_size(
    run: Run, tmp_path: Path, market: Path
) -> None:
    first = "backbone: {use: resnet18, last_stride: 2}"
    methods = (
        f"{{m: {{backbone: resnet18, pretrain: {{{MOCO}, {first}}}, finetune: {{use: none, image_size: [64, 32]}}}}}}"
    )
    the_result(run(methods))
    store = Store(tmp_path / "one" / "store")
    before, after = artifact(store, "pretrain"), artifact(store, "finetune")
    described = json.loads((before.path / "backbone.json").read_text())
    assert (described["params"]["last_stride"], described["image_size"]) == (2, [32, 16])
    spec = spec_of(after)
    own = spec["backbone"]["backbone"]
    assert (own["params"]["last_stride"], own["image_size"]) == (1, [64, 32])
    pixels = spec["preprocess"]
    assert pixels == {"size": [64, 32], "mean": list(LUP_MEAN), "std": list(LUP_STD)}  # follow the weights
    weights, kept = tensors(before.path), tensors(after.path, "backbone.")
    assert weights.keys() == kept.keys()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in weights.items())
    # what was embedded: the network with stride 1, on images of 64x32
    network = build_backbone(plugins.load(), own).eval()
    network.load_state_dict(weights)
    images = query_images(store, market, (64, 32)).permute(0, 3, 1, 2).float() / 255
    images = (images - torch.tensor(LUP_MEAN).view(3, 1, 1)) / torch.tensor(LUP_STD).view(3, 1, 1)
    with torch.no_grad():
        answer = network(images)
    assert answer.map.shape[2:] == (4, 2)  # 64x32 by 16
    found = np.load(artifact(store, "embed").path / "features.npz")["query_features"]
    np.testing.assert_allclose(found, answer.vector.numpy(), rtol=1e-3, atol=1e-4)


def bilinear(field: np.ndarray, rows: int) -> np.ndarray:
    """[H, W, D] to [rows, W, D]: linear between the centres of patches, and beyond the outer ones as they are."""
    height = len(field)
    places = np.clip((np.arange(rows) + 0.5) * height / rows - 0.5, 0, height - 1)
    low = np.floor(places).astype(int)
    high, share = np.minimum(low + 1, height - 1), (places - low)[:, None, None]
    return np.asarray(field[low] * (1 - share) + field[high] * share)


@pytest.mark.slow
@pytest.mark.parametrize(
    "through",
    ["finetune: {use: none, image_size: [96, 32]}", "finetune: none, adapt: {use: grouped, image_size: [96, 32]}"],
)
def test_positions_are_resized_from_the_grid_before_to_the_own_one(
    run: Run, tmp_path: Path, site: Path, through: str
) -> None:
    """From 64x32 to 96x32 with patches of 8: grids of 8x4 and 12x4. In an adapter they are the embedder's."""
    the_result(run(f"{{m: {{backbone: {VIT}, image_size: [64, 32], pretrain: {{{DINO}}}, {through}}}}}"))
    store = Store(tmp_path / "one" / "store")
    weights = tensors(artifact(store, "pretrain").path)
    after = artifact(store, "adapt" if "adapt" in through else "finetune")
    kept = tensors(after.path, "backbone.")
    assert weights.keys() == kept.keys()
    old, new = weights.pop("pos_embed").numpy(), kept.pop("pos_embed").numpy()
    assert (old.shape, new.shape) == ((1, 33, 12), (1, 49, 12))
    np.testing.assert_array_equal(new[:, 0], old[:, 0])
    np.testing.assert_allclose(new[0, 1:].reshape(12, 4, 12), bilinear(old[0, 1:].reshape(8, 4, 12), 12), atol=1e-6)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in weights.items())
    assert spec_of(after)["preprocess"]["size"] == [96, 32]


@pytest.mark.slow
def test_an_adapter_of_another_size_and_filter_goes_on_with_the_embedder(run: Run, tmp_path: Path) -> None:
    adapt = "{use: adabn, image_size: [64, 32], resize_test: bicubic}"
    the_result(run(f"{{m: {{finetune: {{{BOT}}}, adapt: {adapt}}}}}"))
    store = Store(tmp_path / "one" / "store")
    before, after = artifact(store, "finetune"), artifact(store, "adapt")
    assert spec_of(before)["preprocess"]["size"] == [32, 16]
    pixels = spec_of(after)["preprocess"]
    assert (pixels["size"], pixels["resize_test"]) == ([64, 32], "bicubic")
    assert spec_of(after)["backbone"]["backbone"]["image_size"] == [64, 32]
    weights, kept = tensors(before.path), tensors(after.path)
    trained = [name for name in weights if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    assert all(torch.equal(weights[name], kept[name]) for name in trained)
    assert any("neck" in name for name in trained)


def test_a_filter_of_an_adapters_own_reaches_the_embedder(run: Run, tmp_path: Path) -> None:
    """Its network and size are those before: nothing but the filter differs."""
    the_result(run("{m: {finetune: none, adapt: {use: adabn, resize: bicubic}}}"))
    pixels = spec_of(artifact(Store(tmp_path / "one" / "store"), "adapt"))["preprocess"]
    assert (pixels["size"], pixels["resize"]) == ([32, 16], "bicubic")


@pytest.mark.slow
def test_an_embedder_without_a_network_goes_on_at_another_size(run: Run, tmp_path: Path, site: Path) -> None:
    adapt = "{use: grouped, image_size: [64, 32]}"
    the_result(run(f"{{m: {{finetune: colour-histogram, adapt: {adapt}}}}}"))
    assert spec_of(artifact(Store(tmp_path / "one" / "store"), "adapt"))["preprocess"]["size"] == [64, 32]


@pytest.mark.slow
def test_rows_of_two_sizes_and_their_ensemble(run: Run) -> None:
    methods = "a: {finetune: none}, b: {finetune: {use: none, image_size: [64, 32]}}, both: {ensemble: [a, b]}"
    board = run(f"{{{methods}}}")
    words = {method: the_result(board, method).row.protocol for method in ("a", "b", "both")}
    assert "tested at 32x16, " in words["a"]
    assert "tested at 64x32, " in words["b"]
    assert "tested at 32x16 and 64x32, " in words["both"]


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        (
            f"pretrain: {{{MOCO}}}, finetune: {{use: none, backbone: {VIT}}}",
            r"the weights of pretrain moco-v2 \[tiny, seed 0\] do not fit backbone vit-tiny: \d+ tensors are missing "
            r"\(cls_token, pos_embed, .*, \.\.\.\); \d+ tensors are left over \(stages\.",
        ),
        (
            f"pretrain: {{{MOCO}, backbone: {{use: resnet-tiny, width: 8}}}}, finetune: none",
            r"the weights of pretrain moco-v2 \[tiny, seed 0\] do not fit backbone resnet-tiny: other shape: "
            r"stem\.0\.weight is \[8, 3, 5, 5\], the network has \[4, 3, 5, 5\]; .* and \d+ more",
        ),
        (
            f"finetune: none, adapt: {{use: grouped, backbone: {VIT}, image_size: [64, 32]}}",
            r"the weights of finetune none \[tiny, seed 0\] do not fit backbone vit-tiny: \d+ tensors are missing "
            r"\(backbone\.cls_token",
        ),
    ],
)
def test_weights_of_another_network_are_an_error_that_names_the_tensors(
    run: Run, site: Path, steps: str, sentence: str
) -> None:
    (found,) = run(f"{{m: {{{steps}}}}}").results
    assert found.status == "blocked"
    assert re.search(sentence, found.error), found.error


@pytest.mark.slow
def test_other_processes_and_a_second_run_give_the_same_bytes(run: Run, tmp_path: Path) -> None:
    """Two steps that train, on a network whose positions are resized between them."""
    finetune = f"{{{BOT}, image_size: [96, 32]}}"
    methods = f"{{m: {{backbone: {VIT}, image_size: [64, 32], pretrain: {{{DINO}}}, finetune: {finetune}}}}}"
    found = []
    for folder, jobs in (("one", 0), ("two", 2)):
        the_result(run(methods, folder, jobs))
        store = Store(tmp_path / folder / "store")
        found.append([(artifact(store, kind).key, artifact(store, kind).path) for kind in ("finetune", "embed")])
    for (key, one), (other_key, other) in zip(*found, strict=True):
        assert key == other_key
        for name in ("embedder.safetensors", "features.npz"):
            if (one / name).is_file():
                assert (one / name).read_bytes() == (other / name).read_bytes()


@pytest.mark.slow
def test_a_resumed_step_goes_on_in_its_own_network(
    run: Run, tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails in its second epoch of three, and resumes from the end of the first."""
    finetune = "{use: toy, epochs: 3, image_size: [96, 32]}"
    methods = f"{{m: {{backbone: {VIT}, image_size: [64, 32], pretrain: {{{DINO}}}, finetune: {finetune}}}}}"
    the_result(run(methods, "one"))
    log, keep = tmp_path / "epochs.txt", Record.log

    def failing(self: Record, line: Mapping[str, float]) -> None:
        if dict(line) == {"epoch": 1}:
            raise RuntimeError("it went wrong")
        keep(self, line)

    monkeypatch.setenv("REIDBENCH_TOY_LOG", str(log))
    with monkeypatch.context() as patched:
        patched.setattr(Record, "log", failing)
        (failed,) = run(methods, "two").results
    assert "it went wrong" in failed.error
    the_result(run(methods, "two"))
    assert log.read_text().split("\n") == ["0 0", "0 1", "0 1", "0 2", ""]
    one, two = (artifact(Store(tmp_path / folder / "store"), "finetune") for folder in ("one", "two"))
    assert (one.path / "embedder.safetensors").read_bytes() == (two.path / "embedder.safetensors").read_bytes()
