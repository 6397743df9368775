"""Networks in ONNX files as rows."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import OnnxParams

CHECK = {"onnx": "reidbench_onnx.examples:onnx"}


@hookimpl
def reidbench_finetuners() -> Iterator[Component]:
    """Yield the fine-tuner that runs a file's network unchanged."""
    yield Component(
        "onnx",
        "reidbench_onnx.finetune:finetune",
        OnnxParams,
        summary="the network of an ONNX file, run by onnxruntime without training",
        traits=frozenset({"label-free", "backbone-free", "seedless"}),
        protocol=OnnxParams.supervision,
        packages=("onnx", "onnxruntime"),
        extra="onnx",
    )
