"""A network in an ONNX file as a row."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import OnnxParams

CHECK = {"onnx": "reidbench_onnx.examples:onnx"}


@hookimpl
def reidbench_finetuners() -> Iterator[Component]:
    """The network of a file as it is."""
    yield Component(
        "onnx",
        "reidbench_onnx.finetune:finetune",
        OnnxParams,
        summary="the network of an ONNX file, run by onnxruntime; nothing is trained",
        traits=frozenset({"label-free", "backbone-free", "seedless"}),
        protocol=OnnxParams.supervision,
        packages=("onnx", "onnxruntime"),
        extra="onnx",
    )
