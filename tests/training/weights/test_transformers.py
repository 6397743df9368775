"""Transformer checkpoints: released layouts, strict reading, positions."""

from __future__ import annotations

import argparse
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from reidbench.errors import ReidbenchError
from reidbench.training.weights import transformers as tw
from reidbench.training.weights.files import read_checkpoint
from reidbench_baseline.transformer_params import ViTTinyParams
from reidbench_baseline.vit import ViT, vit_tiny

pytestmark = pytest.mark.usefixtures("one_thread")
State = dict[str, torch.Tensor]
LAYOUTS = ("dino", "converted", "transreid", "cluster-contrast")
DIM = 12


def network(seed: int, stem: str = "patchify", size: tuple[int, int] = (32, 16), patch: int = 8) -> ViT:
    """A small ViT, its batch norms with statistics that are not the initial ones."""
    torch.manual_seed(seed)
    params = ViTTinyParams.model_validate(
        {"stem": stem, "patch": patch, "dim": DIM, "depth": 2, "heads": 3, "stem_width": 4}
    )
    built = vit_tiny(params, size)
    for name, buffer in built.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
    return built.eval()


def head(seed: int) -> State:
    """A projection head with today's names of weight norm."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"mlp.0.weight": (8, DIM), "mlp.0.bias": (8,), "mlp.4.weight": (4, 8), "mlp.4.bias": (4,)}
    shapes |= {f"last_layer.parametrizations.weight.original{i}": shape for i, shape in enumerate(((16, 1), (16, 4)))}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def neck() -> State:
    return dict(torch.nn.BatchNorm1d(DIM).state_dict())


def write(layout: str, kept: ViT, other: ViT) -> dict[str, Any]:
    """A project's checkpoint of `kept`; `other` is DINO's student."""
    flat = kept.state_dict()
    if layout == "dino":
        arguments = {"arch": "vit_small", "local_crops_scale": (0.05, 0.4), "norm_last_layer": True, "lr": 5e-4}
        heads = (head(1), head(2))
        return tw.to_dino(
            other.state_dict(), flat, heads=heads, center=torch.zeros(1, 16), epoch=100, arguments=arguments
        )
    if layout == "transreid":
        return dict(tw.to_transreid(flat, bottleneck=neck(), classifier=torch.zeros(5, DIM)))
    if layout == "cluster-contrast":
        return tw.to_cluster_contrast(flat, bottleneck=neck(), epoch=50, best=np.float64(0.89))
    return dict(tw.to_converted(flat))


@pytest.mark.parametrize("stem", ["patchify", "ics", "conv"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_round_trip_through_every_layout(layout: str, stem: str, tmp_path: Path) -> None:
    """Written by their names, read strictly: every tensor, the same features, and twice is as once."""
    kept, other = network(1, stem), network(2, stem)
    file = tmp_path / "checkpoint.pth"
    torch.save(write(layout, kept, other), file)
    images = torch.randn(2, 3, 32, 16)
    target = network(3, stem)
    for _ in range(2):
        report = tw.load_transformer(target, read_checkpoint(file))
        assert (report.layout, report.share, report.missing) == (layout, 1.0, ())
        assert set(report.matched) == set(kept.state_dict())
        assert torch.equal(target(images).vector, kept(images).vector)
        assert all(torch.equal(target.state_dict()[name], tensor) for name, tensor in kept.state_dict().items())
    assert not torch.equal(target(images).vector, other(images).vector)


def test_layouts_have_the_names_of_released_files() -> None:
    """The ICS teacher was wrapped, the plain one was not."""
    for stem, teacher in (("patchify", "backbone."), ("ics", "module.backbone.")):
        kept = network(1, stem)
        dino = write("dino", kept, kept)
        assert set(dino) == {"student", "teacher", "epoch", "args", "dino_loss"}
        assert isinstance(dino["args"], argparse.Namespace)
        assert f"{teacher}cls_token" in dino["teacher"]
        assert all(name.startswith(("module.backbone.", "module.head.")) for name in dino["student"])
        heads = {name.removeprefix("module.") for name in dino["teacher"] if "head." in name}
        assert {"head.mlp.0.weight", "head.last_layer.weight_g", "head.last_layer.weight_v"} <= heads
        assert dino["teacher"][f"{teacher.removesuffix('backbone.')}head.last_layer.weight_g"].shape == (16, 1)
        converted = write("converted", kept, kept)
        assert {"cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.1.mlp.fc2.bias", "norm.weight"} <= set(
            converted
        )
        transreid = write("transreid", kept, kept)
        beside = {name for name in transreid if not name.startswith("base.")}
        assert beside == {f"bottleneck.{name}" for name in neck()} | {"classifier.weight"}
        assert len(beside) == 6
        assert transreid["base.fc.weight"].shape == (1000, DIM)
        cluster = write("cluster-contrast", kept, kept)
        assert set(cluster) == {"state_dict", "epoch", "best_mAP"}
        names = {name for name in cluster["state_dict"] if name.startswith("module.bottleneck.")}
        assert len(names) == 5
        assert not any("classifier" in name for name in cluster["state_dict"])


def test_what_stands_beside_the_backbone_is_reported_as_left_out() -> None:
    content = write("transreid", network(1), network(1))
    content |= {"base.sie_embed": torch.zeros(6, 1, DIM)}
    report = tw.load_transformer(network(2), {f"module.{name}": tensor for name, tensor in content.items()})
    assert {"module.base.fc.bias", "module.classifier.weight", "module.base.sie_embed"} <= set(report.unexpected)
    (note,) = report.notes("a.pth")
    assert note.endswith(
        "1 of its tensors belong inside the network, which has no place for them (module.base.sie_embed)"
    )
    assert len(report.unexpected) == 9  # five of the neck, classifier, two of the dead fc, side embedding


def test_a_file_of_old_names_and_of_an_old_numpy_is_read(tmp_path: Path) -> None:
    """ClusterContrast's best mAP is a numpy number, DINO's settings are a namespace: neither is a danger."""
    file = tmp_path / "old.pth.tar"
    torch.save(write("cluster-contrast", network(1), network(1)), file, _use_new_zipfile_serialization=False)
    content = file.read_bytes()
    assert b"numpy._core.multiarray\n" in content
    file.write_bytes(content.replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n"))
    assert read_checkpoint(file)["best_mAP"] == 0.89
    assert tw.load_transformer(network(2), read_checkpoint(file)).share == 1.0


def test_a_hostile_pickle_is_refused(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "owned",))

    file = tmp_path / "hostile.pth"
    namespace = {"args": argparse.Namespace(inner=Hostile()), "teacher": {}}
    for write_it in (
        lambda: file.write_bytes(pickle.dumps(Hostile())),
        lambda: torch.save({"a": Hostile()}, file),
        lambda: torch.save(namespace, file),
    ):
        write_it()
        with pytest.raises(
            ReidbenchError, match=r"hostile\.pth: not a file of plain tensors .*: it (is a pickle|contains getattr)"
        ):
            read_checkpoint(file)
    assert not (tmp_path / "owned").exists()
    torch.save([1, 2], file)
    with pytest.raises(ReidbenchError, match=r"hostile\.pth: contains a list"):
        read_checkpoint(file)


@pytest.mark.parametrize(
    ("file", "ours", "sentence"),
    [
        (
            "patchify",
            "ics",
            r"22 missing.*patch_embed\.proj\.weight.*the file's stem is patchify, the backbone's is ics",
        ),
        ("ics", "patchify", r"22 unexpected, first patch_embed\.conv\.0\.weight.*file's stem is ics, .* is patchify"),
        ("ics", "conv", r"missing, first patch_embed\.conv\.1\.weight.*file's stem is ics, the backbone's is conv"),
    ],
)
def test_weights_of_another_stem_are_refused_and_nothing_changes(file: str, ours: str, sentence: str) -> None:
    """The original loaders left the whole stem random, with a line in a log."""
    target = network(2, ours)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(ReidbenchError, match=rf"mine\.pth: does not fit the backbone: .*{sentence}"):
        tw.load_transformer(target, network(1, file).state_dict(), where="mine.pth")
    assert all(torch.equal(before[name], tensor) for name, tensor in target.state_dict().items())


def test_one_tensor_too_few_too_many_or_of_another_shape_is_refused() -> None:
    state = network(1).state_dict()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({name: tensor for name, tensor in state.items() if name != "norm.bias"}, "1 missing, first norm.bias"),
        ({**state, "b1.0.norm1.weight": torch.zeros(3)}, r"1 unexpected, first b1\.0\.norm1\.weight"),
        ({**state, "norm.bias": torch.zeros(3)}, r"other shape: norm\.bias is \[3\], the network has \[12\]"),
        ({"student": state}, "missing, first cls_token"),
        ({**state, "base.norm.bias": state["norm.bias"]}, r"name norm\.bias twice"),
    ]
    for content, sentence in wrong:
        with pytest.raises(ReidbenchError, match=sentence):
            tw.load_transformer(network(2), content)


def test_the_head_is_read_by_todays_names() -> None:
    """Old weight norm, weight_g and weight_v, becomes the parametrisation's; both networks' heads are there."""
    content = write("dino", network(1, "ics"), network(2, "ics"))
    for role, expected in (("student", head(1)), ("teacher", head(2))):
        read = tw.read_head(content, role)
        assert set(read) == set(expected)
        assert all(torch.equal(read[name], tensor) for name, tensor in expected.items())
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(4, 16, bias=False))
    layer.load_state_dict({name.removeprefix("last_layer."): t for name, t in read.items() if "last_layer" in name})
    norms = head(2)["last_layer.parametrizations.weight.original0"].abs()
    assert torch.allclose(layer.weight.norm(dim=1, keepdim=True), norms, atol=1e-5)
    with pytest.raises(ReidbenchError, match="no teacher head"):
        tw.read_head(write("converted", network(1), network(1)))


def test_weights_for_256x128_are_fitted_to_384x128() -> None:
    """(1, 193, d), the CLS position unchanged, by the grid or by the ratio; without either it is refused."""
    source, target = network(1, size=(256, 128), patch=16), network(2, size=(384, 128), patch=16)
    state = source.state_dict()
    assert state["pos_embed"].shape == (1, 129, DIM)
    with pytest.raises(ReidbenchError, match=r"positions for 128 patches, the backbone for 192: set source_grid"):
        tw.load_transformer(target, state)
    square = {**state, "pos_embed": torch.zeros(1, 197, DIM)}  # ImageNet's 224x224
    with pytest.raises(ReidbenchError, match=r"the file's \(of a square image \[14, 14\]\)"):
        tw.load_transformer(target, square)
    answers: list[dict[str, Any]] = [{"source_grid": (16, 8)}, {"hw_ratio": 2}]
    for given in answers:
        for _ in range(2):
            assert tw.load_transformer(target, state, **given).share == 1.0
        loaded = target.pos_embed.detach()
        assert loaded.shape == (1, 193, DIM)
        assert torch.equal(loaded[:, 0], source.pos_embed[:, 0])
        expected = bilinear(source.pos_embed[0, 1:].detach().reshape(16, 8, DIM).double().numpy(), 24, 8)
        assert np.allclose(loaded[0, 1:].reshape(24, 8, DIM), expected, atol=1e-6)
    with pytest.raises(ReidbenchError, match="not both"):
        tw.load_transformer(target, state, source_grid=(16, 8), hw_ratio=2)
    with pytest.raises(ReidbenchError, match="source_grid 8x8 does not match the 128 positions"):
        tw.load_transformer(target, state, source_grid=(8, 8))


def bilinear(field: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Half-pixel bilinear sampling [h, w, d], one axis after the other, clamped at the border."""
    for axis, size in ((0, rows), (1, columns)):
        length = field.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, None)
        low = np.minimum(np.floor(at).astype(int), length - 1)
        high = np.minimum(low + 1, length - 1)
        weight = (at - low).reshape([-1 if i == axis else 1 for i in range(3)])
        field = field.take(low, axis) * (1 - weight) + field.take(high, axis) * weight
    return field


def test_grids() -> None:
    """TransReID's rule: 128 patches are 16x8 at ratio 2, ImageNet's 196 are 14x14; the default ratio 1 fits neither."""
    assert tw.grid_from_ratio(128, 2) == (16, 8)
    assert tw.grid_from_ratio(192, 3) == (24, 8)
    assert tw.grid_from_ratio(196, 1) == (14, 14)
    for patches, ratio in ((128, 1), (192, 2), (210, 2)):
        with pytest.raises(ReidbenchError, match="set source_grid"):
            tw.grid_from_ratio(patches, ratio)
    positions = torch.randn(1, 9, 4)
    assert tw.resize_positions(positions, (4, 2), (4, 2)) is positions
    turned = tw.resize_positions(positions, (2, 4), (4, 2))  # as many patches, but another grid
    assert not torch.allclose(turned, positions)
    rows = torch.cat((torch.zeros(1, 1, 1), torch.arange(4.0).repeat_interleave(2).reshape(1, 8, 1)), dim=1)
    grown = tw.resize_positions(rows, (4, 2), (8, 4))[0, 1:].reshape(8, 4)
    assert torch.equal(grown, grown[:, :1].expand(8, 4))  # rows vary, columns do not
    assert grown[:, 0].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]


def test_what_is_written_says_what_it_is(tmp_path: Path) -> None:
    """Batch norm's buffers are saved; the sidecar has what a user must know before loading."""
    kept = network(1, "ics", (64, 32))
    kept.spec = {"use": "vit-tiny", "params": {"stem": "ics"}, "image_size": [64, 32]}
    kept.mean = (0.5, 0.5, 0.5)
    file = tmp_path / "mine.safetensors"
    tw.write_transformer(file, kept, epochs=100, list_id="cfs-60")
    assert load_file(file).keys() == kept.state_dict().keys()
    assert torch.equal(
        load_file(file)["patch_embed.conv.7.running_mean"], kept.state_dict()["patch_embed.conv.7.running_mean"]
    )
    sidecar = json.loads((tmp_path / "mine.json").read_text())
    expected = {"arch": "vit-tiny", "img_size": [64, 32], "hw_ratio": 2, "grid": [8, 4], "stem": "ics", "epochs": 100}
    assert expected.items() <= sidecar.items()
    assert (sidecar["list"], sidecar["norm"]) == ("cfs-60", {"mean": [0.5, 0.5, 0.5], "std": [0.229, 0.224, 0.225]})
    assert (sidecar["mean"], sidecar["params"]) == ([0.5, 0.5, 0.5], {"stem": "ics"})
    report = tw.load_transformer(network(2, "ics", (64, 32)), read_checkpoint(file))
    assert (report.layout, report.share) == ("converted", 1.0)
