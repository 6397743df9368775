"""A network through ONNX: the same numbers as directly, and one sentence for every invalid file."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from reidbench import FinetuneContext
from reidbench.data.pictures.size import ImageSize
from reidbench.errors import ReidbenchError
from reidbench.execution import executors, progress, runner
from reidbench.export import networks
from reidbench.export.features import split_of
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.stage import Plan
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix
from reidbench.training import Preprocess, embed
from reidbench_onnx.embedder import OnnxEmbedder
from reidbench_onnx.examples import stand_in, write_network
from reidbench_onnx.finetune import finetune
from reidbench_onnx.params import OnnxParams
from tests.support.contexts import make_context

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT
SIZE = (32, 16)


def value(name: str, *shape: int | str, kind: int = FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, list(shape))


IMAGES, FEATURES = value("images", "batch", 3, *SIZE), value("features", "batch", 3)
MEANS = [helper.make_node("ReduceMean", ["images"], ["features"], axes=[2, 3], keepdims=0)]


def saved(file: Path, nodes: Any = MEANS, inputs: Any = (IMAGES,), outputs: Any = (FEATURES,), **more: Any) -> Path:
    """A file of these parts, for opset 13 and unchanged pixels."""
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), **more)
    sets = [helper.make_opsetid("", 13), helper.make_opsetid("theirs", 1)]
    onnx.save(helper.make_model(graph, opset_imports=sets, ir_version=8), str(file))
    return file


def embedder_of(file: Path, folder: Path, size: tuple[int, int] = SIZE, **params: Any) -> OnnxEmbedder:
    given = OnnxParams(file=file, **{"mean": (0, 0, 0), "std": (1, 1, 1), **params})
    return finetune(
        make_context(FinetuneContext, folder / "out", given, image_size=size, source=None, backbone=None)[0]
    )


# ---------------------------------------------------------------------- the same numbers
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_network_and_its_export_have_the_same_map_in_one_table(market: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    text = f"""
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
evaluate: [cosine, euclidean]
methods:
  itself: {{finetune: {{use: bot, epochs: 1, identities: 4, images: 2}}}}
"""
    store, registry = Store(tmp_path / "store"), plugins.load()
    board = run_matrix(text, tmp_path)
    (key,) = {networks.network_of(store, result.row.key).key for result in board.results if result.row.key}
    artifact = store.read(key)
    networks.export(networks.load(store, artifact, registry), artifact, "onnx", tmp_path / "net.onnx")
    board = run_matrix(text + "  through onnx: {finetune: {use: onnx, file: net.onnx}}\n", tmp_path)
    assert {result.status for result in board.results} == {"ok"}
    found = {(result.row.method, result.row.evaluator): result.metrics["mAP"] for result in board.results}
    for evaluator in ("cosine", "euclidean"):
        assert found["through onnx", evaluator] == pytest.approx(found["itself", evaluator], abs=1e-6)
    features = [embedded(store, board, method) for method in ("itself", "through onnx")]
    for name, values in features[0].items():
        assert np.abs(features[1][name] - values).max() <= 1e-4 * np.abs(values).max(), name


def embedded(store: Store, board: Any, method: str) -> dict[str, np.ndarray]:
    """The features that a row was evaluated on."""
    key = next(result.row.key for result in board.results if result.row.method == method)
    ((_, parent),) = store.read(key).need("stage", "parents")
    with np.load(store.path(parent) / "features.npz") as file:
        return {name: file[name] for name in ("query_features", "gallery_features")}


@pytest.mark.parametrize("batch", ["batch", 1, 4])
def test_features_are_the_means_of_the_pixels_for_batches_of_any_size(batch: int | str, tmp_path: Path) -> None:
    """By hand: means over the pixels. With a fixed batch of 4, seven images are two runs, the second filled up."""
    file = saved(tmp_path / "m.onnx", inputs=[value("images", batch, 3, *SIZE)], outputs=[value("features", batch, 3)])
    embedder = embedder_of(file, tmp_path)
    images = torch.randn(7, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    found = embedder(images)
    assert found.shape == (7, 3)
    assert torch.allclose(found, images.mean((2, 3)), atol=1e-6)
    assert torch.equal(found, embedder(images))


def test_it_is_whole_without_the_file(tmp_path: Path) -> None:
    file = write_network(tmp_path / "m.onnx")
    embedder = embedder_of(file, tmp_path)
    file.unlink()
    again = OnnxEmbedder(**embedder.spec)
    again.load_state_dict(embedder.state_dict())
    images = torch.randn(3, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    halves = torch.cat([images[:, :, :16].mean((2, 3)), images[:, :, 16:].mean((2, 3))], 1)
    assert torch.allclose(again(images), halves, atol=1e-6)


def test_pixels_come_to_the_network_by_the_files_mean_and_deviation(tmp_path: Path) -> None:
    """One grey picture of 51 / 255 = 0.2, and (0.2 - 0.1) / 0.5 = 0.2; parameters override the metadata."""
    file = saved(tmp_path / "m.onnx")
    model = onnx.load(str(file))
    helper.set_model_props(
        model, {"reidbench.preprocess": '{"size": [32, 16], "mean": [0.1, 0.1, 0.1], "std": [0.5, 0.5, 0.5]}'}
    )
    onnx.save(model, str(file))
    Image.new("RGB", (16, 32), (51, 51, 51)).save(tmp_path / "grey.png")
    for given, expected in (({"mean": None, "std": None}, 0.2), ({"mean": (0.2, 0.2, 0.2), "std": None}, 0.0)):
        embedder = embedder_of(file, tmp_path, **given)
        grey = split_of([str(tmp_path / "grey.png")])
        found = embed(embedder, grey, grey.camids)
        assert found == pytest.approx(np.full((1, 3), expected), abs=1e-6)


# ---------------------------------------------------------------------- keys, workers
def planned(folder: Path, market: Path, file: Path) -> Plan:
    (folder / "m.yaml").write_text(
        f"image_size: [32, 16]\ndata: {{tiny: {{use: market-folder, root: {market}}}}}\n"
        f"tasks: {{t: {{source: tiny, target: tiny}}}}\nbackbone: resnet-tiny\nseeds: [0, 1]\n"
        f"methods: {{net: {{finetune: {{use: onnx, file: {file}, labels: MSMT17 labels}}}}}}\n"
    )
    return plan.expand(reader.read(folder / "m.yaml", plugins.load()))


def test_the_content_is_the_key_and_the_labels_are_the_protocol(market: Path, tmp_path: Path) -> None:
    first = planned(tmp_path, market, write_network(tmp_path / "one.onnx"))
    assert [row.protocol for row in first.rows] == ["MSMT17 labels, AP step"]  # one row for both seeds
    moved = planned(tmp_path, market, write_network(tmp_path / "other.onnx"))
    assert first.stages.keys() == moved.stages.keys()
    other = planned(tmp_path, market, saved(tmp_path / "one.onnx"))
    assert {row.key for row in first.rows}.isdisjoint(row.key for row in other.rows)


@pytest.mark.slow
def test_workers_change_no_digit(market: Path, tmp_path: Path) -> None:
    the_plan = planned(tmp_path, market, write_network(tmp_path / "one.onnx"))
    found = []
    for workers in (0, 1, 4):
        store, lines = Store(tmp_path / f"store{workers}"), progress.Lines(Console(file=io.StringIO()))
        runner.Runner(the_plan, store, executors.make("inline", 1), lines, frozenset(), workers=workers).run()
        assert all(store.has(key) for key in the_plan.stages)
        files = sorted(store.root.glob("objects/*/*.npz"))
        found.append({file.relative_to(store.root).as_posix(): file.read_bytes() for file in files})
    assert len(found[0]) > 0
    assert found[0] == found[1] == found[2]


# ---------------------------------------------------------------------- one sentence
def external(file: Path) -> Path:
    """A weight whose numbers are in a file above the folder."""
    weight = onnx.TensorProto(name="w", data_type=FLOAT, dims=[3], data_location=onnx.TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="../secret")
    return saved(file, initializer=[weight])


def within(file: Path) -> Path:
    """The same for a constant in a branch."""
    weight = onnx.TensorProto(name="w", data_type=FLOAT, dims=[3], data_location=onnx.TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="../secret")
    branch = helper.make_graph([helper.make_node("Constant", [], ["f"], value=weight)], "branch", [], [value("f", 3)])
    condition = helper.make_tensor("c", onnx.TensorProto.BOOL, [], [True])
    nodes = [
        helper.make_node("Constant", [], ["c"], value=condition),
        helper.make_node("If", ["c"], ["features"], then_branch=branch, else_branch=branch),
    ]
    return saved(file, nodes)


def text_file(file: Path) -> Path:
    file.write_text("no network")
    return file


IMAGES_LAST = value("images", "batch", *SIZE, 3)
WHOLE_NUMBERS = value("images", "batch", 3, *SIZE, kind=onnx.TensorProto.UINT8)
CAST = [
    helper.make_node("Cast", ["images"], ["real"], to=FLOAT),
    helper.make_node("ReduceMean", ["real"], ["features"], axes=[2, 3], keepdims=0),
]
RELU, MAPS = helper.make_node("Relu", ["images"], ["features"]), value("features", "batch", 3, *SIZE)
OWN = [helper.make_node("Wavelets", ["images"], ["features"], domain="theirs")]
COPY = helper.make_node("Identity", ["features"], ["classes"])
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "text": (text_file, "m.onnx is not an ONNX file"),
    "two inputs": (
        lambda f: saved(f, inputs=[IMAGES, value("cameras", "batch")]),
        r"one input.*it has images \[\?, 3, 32, 16\] and cameras \[\?\]",
    ),
    "channels last": (lambda f: saved(f, inputs=[IMAGES_LAST]), r"one input.*it has images \[\?, 32, 16, 3\]"),
    "whole numbers": (lambda f: saved(f, CAST, inputs=[WHOLE_NUMBERS]), "of float32"),
    "two outputs": (
        lambda f: saved(f, [*MEANS, COPY], outputs=[FEATURES, value("classes", "batch", 3)]),
        r"one output.*it has features \[\?, 3\] and classes \[\?, 3\]; export the network without its classifier",
    ),
    "maps": (lambda f: saved(f, [RELU], outputs=[MAPS]), r"one output.*it has features"),
    "outside": (external, "stores its numbers in another file, which is not read"),
    "outside, in a branch": (within, "stores its numbers in another file, which is not read"),
    "own operator": (lambda f: saved(f, OWN), "onnxruntime cannot run it: .*Wavelets"),
    "other size": (
        lambda f: saved(f, inputs=[value("images", "batch", 3, 64, "width")]),
        r"needs images of 64x16, but the step has 32x16; set `image_size: \[64, 16\]`",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_such_network(name: str, tmp_path: Path) -> None:
    make, words = BAD[name]
    with pytest.raises(ReidbenchError, match=words) as caught:
        embedder_of(make(tmp_path / "m.onnx"), tmp_path)
    assert "\n" not in str(caught.value)


def test_what_nobody_says_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ReidbenchError, match="has no pixel mean in its metadata; set `mean:"):
        embedder_of(saved(tmp_path / "m.onnx"), tmp_path, mean=None)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ('{"size": [64, 32]}', r"set `image_size: \[64, 32\]`"),
        ('{"resize": "bicubic"}', "filter bicubic, but the step has bilinear; set `resize_test: bicubic`"),
        ('{"mean": [0.5]}', "three numbers in mean and std"),
        ('{"mean": ', "metadata reidbench.preprocess cannot be read"),
    ],
)  # fmt: skip
def test_metadata_that_the_step_contradicts(told: str, words: str, tmp_path: Path) -> None:
    file = saved(tmp_path / "m.onnx", inputs=[value("images", "batch", 3, "height", "width")])
    model = onnx.load(str(file))
    helper.set_model_props(model, {"reidbench.preprocess": told})
    onnx.save(model, str(file))
    with pytest.raises(ReidbenchError, match=words):
        embedder_of(file, tmp_path, mean=None, std=None)


def test_a_step_with_the_filter_of_the_file(tmp_path: Path) -> None:
    file = saved(tmp_path / "m.onnx")
    model = onnx.load(str(file))
    helper.set_model_props(model, {"reidbench.preprocess": '{"resize": "bicubic"}'})
    onnx.save(model, str(file))
    preprocess: Preprocess = embedder_of(file, tmp_path, size=ImageSize(SIZE, "bilinear", "bicubic")).preprocess
    assert preprocess.at_test().resize == "bicubic"


def test_a_rehearsal_has_a_network_for_pictures_of_any_size(tmp_path: Path) -> None:
    made = stand_in(OnnxParams(file=tmp_path / "nowhere.onnx"), tmp_path, ["a.jpg"])
    embedder = embedder_of(made, tmp_path, size=(48, 20), mean=None, std=None)
    assert embedder(torch.ones(2, 3, 48, 20)).tolist() == [[1.0] * 6] * 2
