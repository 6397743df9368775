"""A small ONNX network for checks and rehearsals: the mean colours of an image's upper and lower half."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reidbench.check.examples import Example

    from .params import OnnxParams


def onnx(folder: Path) -> Example | dict[str, Any]:
    """Return the example for `reidbench check`."""
    from reidbench.check.examples import Example

    if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime")):
        return Example(skip="needs onnx and onnxruntime; pip install 'reidbench[onnx]'")
    return {"file": write_network(folder / "means.onnx")}


def stand_in(params: OnnxParams, folder: Path, names: Sequence[str]) -> Path:
    """Write the file that `reidbench rehearse` uses for a missing file. Accepts images of any size."""
    return write_network(folder / (params.file.name or "network.onnx"))


def write_network(file: Path) -> Path:
    """Write a network from images [batch, 3, height, width] to features [batch, 6]: means of upper and lower half."""
    from onnx import TensorProto, helper, save

    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 6])
    nodes = [
        helper.make_node("Split", ["images"], ["upper", "lower"], axis=2, num_outputs=2),
        *(helper.make_node("GlobalAveragePool", [half], [f"mean {half}"]) for half in ("upper", "lower")),
        helper.make_node("Concat", ["mean upper", "mean lower"], ["means"], axis=1),
        helper.make_node("Flatten", ["means"], ["features"], axis=1),
    ]
    graph = helper.make_graph(nodes, "means", [images], [features])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {"reidbench.preprocess": json.dumps({"mean": [0, 0, 0], "std": [1, 1, 1]})})
    save(model, str(file))
    return file
