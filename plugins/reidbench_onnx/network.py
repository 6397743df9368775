"""Reads and checks an ONNX file: no other file is opened, and no custom operator library is loaded."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown

EXTERNAL = 1  # TensorProto.EXTERNAL: the numbers are in another file
FLOAT = 1  # TensorProto.FLOAT


@dataclass(frozen=True)
class Network:
    """A file's bytes, its metadata, and its input's batch and (height, width), None where free."""

    content: bytes
    metadata: dict[str, str]
    batch: int | None
    size: tuple[int | None, int | None]


def modules() -> tuple[Any, Any]:
    """Return onnx and onnxruntime. Raises ReidbenchError if one is not installed."""
    try:
        return importlib.import_module("onnx"), importlib.import_module("onnxruntime")
    except ImportError as error:
        raise ReidbenchError(
            f"ONNX needs the extra `onnx` ({error.name} is missing): pip install 'reidbench[onnx]'"
        ) from None


def read(file: Path) -> Network:
    """Return the network of a file.

    Raises ReidbenchError if the file is not ONNX, stores its numbers elsewhere, does not map one input of images
    [batch, 3, height, width] to one output of features [batch, D], both float32, or cannot be run by
    onnxruntime.
    """
    onnx, _ = modules()
    where = shown(file.name)
    content = file.read_bytes()
    try:
        model = onnx.load_from_string(content)
    except Exception as error:  # noqa: BLE001 - protobuf raises several of its exceptions
        raise ReidbenchError(f"{where} is not an ONNX file: {_first_line(error)}") from None
    if any(tensor.data_location == EXTERNAL for tensor in _tensors(model)):
        raise ReidbenchError(
            f"{where} stores its numbers in another file, which is not read; save it as one file with "
            "onnx.save(onnx.load('FILE.onnx'), 'WHOLE.onnx')"
        )
    batch, size = _input(model.graph, where)
    _require_output(model.graph, where)
    session_of(content, where)
    return Network(content, {entry.key: entry.value for entry in model.metadata_props}, batch, size)


def session_of(content: bytes, where: str) -> Any:
    """Return onnxruntime's session of a network, with one thread so that results are reproducible.

    Raises ReidbenchError if onnxruntime cannot run the network, for example because of custom operators.
    """
    _, runtime = modules()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # messages are raised as well
    try:
        return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime has an exception for each cause
        raise ReidbenchError(f"{where}: onnxruntime cannot run it: {_first_line(error)}") from None


def _tensors(model: Any) -> Iterator[Any]:
    """Yield all tensors with numbers, including nested ones."""
    graphs, nodes = [model.graph], [node for function in model.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            yield from (part for sparse in graph.sparse_initializer for part in (sparse.values, sparse.indices))
            nodes += graph.node
            continue
        for attribute in nodes.pop().attribute:
            yield from (attribute.t, *attribute.tensors)
            sparse_tensors = (attribute.sparse_tensor, *attribute.sparse_tensors)
            yield from (part for sparse in sparse_tensors for part in (sparse.values, sparse.indices))
            graphs += [attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs


def _input(graph: Any, where: str) -> tuple[int | None, tuple[int | None, int | None]]:
    """Return batch and size of the only input. Old files may list weights among the inputs, too."""
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [one for one in graph.input if one.name not in weights]
    shapes = [_shape(one) for one in inputs]
    if len(inputs) != 1 or not _is_float(inputs[0]) or len(shapes[0]) != 4 or shapes[0][1] not in (3, None):
        raise ReidbenchError(
            f"{where} must have one input, images [batch, 3, height, width] of float32; it has {_said(inputs)}"
        )
    batch, _, height, width = shapes[0]
    return batch, (height, width)


def _require_output(graph: Any, where: str) -> None:
    outputs = list(graph.output)
    if len(outputs) != 1 or not _is_float(outputs[0]) or len(_shape(outputs[0])) not in (0, 2):  # 0: unspecified
        raise ReidbenchError(
            f"{where} must have one output, features [batch, D] of float32; it has {_said(outputs)}; export the "
            "network without its classifier"
        )


def _is_float(value: Any) -> bool:
    return bool(value.type.tensor_type.elem_type == FLOAT)


def _shape(value: Any) -> list[int | None]:
    """Return the lengths of the axes; None where a file leaves one open."""
    return [axis.dim_value or None for axis in value.type.tensor_type.shape.dim]


def _said(values: list[Any]) -> str:
    """Return inputs or outputs as text for a message."""
    axes = (", ".join("?" if one is None else str(one) for one in _shape(value)) for value in values)
    texts = [f"{shown(value.name)} [{text}]" for value, text in zip(values, axes, strict=True)]
    return " and ".join(texts[:4]) + (f" and {len(texts) - 4} more" if len(texts) > 4 else "") if texts else "none"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return shown(lines[0] if lines else type(error).__name__)[:300]
