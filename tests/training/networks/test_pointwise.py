"""Networks give the same numbers on every processor: none of them reaches what oneDNN computes wrong."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reidbench.training import StridedPointwise, set_stride

ROOT = Path(__file__).parents[3]
CHILD = Path(__file__).with_name("shipped_networks.py")
# "" leaves the choice to oneDNN. Others bring the code of lesser processors to those with AVX-512.
LESSER = ["AVX2", "AVX512_CORE"] if torch.backends.cpu.get_cpu_capability() == "AVX512" else []
INSTRUCTIONS = ["", *LESSER]
TOLERANCE = 1e-3  # of a tensor's norm; the defect of oneDNN is 3 % and more, rounding 1e-4


def networks(instructions: str) -> list[dict[str, Any]]:
    """The child's result for every network, and finally the classes it has seen."""
    settings = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'plugins'}", "OMP_NUM_THREADS": "1"}
    if instructions:
        settings["ONEDNN_MAX_CPU_ISA"] = instructions
    found = subprocess.run(
        [sys.executable, "-W", "ignore", str(CHILD)], env={**os.environ, **settings}, capture_output=True, text=True,
        timeout=600,
    )  # fmt: skip
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    last = lines[-1].get("network", "all") if lines else "nothing"
    assert found.returncode == 0, f"ended with {found.returncode} after {last}: {found.stderr[-2000:]}"
    return lines


@pytest.mark.slow
@pytest.mark.parametrize("instructions", INSTRUCTIONS, ids=lambda name: name or "native")
def test_networks_agree_with_their_plain_arithmetic(instructions: str) -> None:
    """All that ship; none has a strided 1x1 convolution of few channels. One test: the child takes long."""
    *found, last = networks(instructions)
    assert len(found) > 60
    assert [line for line in found if not line["error"] < TOLERANCE] == []
    assert all(line["tensors"] > 1 for line in found)
    assert {line["network"]: line["exposed"] for line in found if line["exposed"]} == {}
    assert classes_with_convolutions() - set(last["classes"]) == set()


def classes_with_convolutions() -> set[str]:
    """The names of the networks in the sources."""
    sources = [*(ROOT / "plugins").glob("reidbench_*/**/*.py"), *(ROOT / "reidbench" / "training").rglob("*.py")]
    found = {
        node.name
        for file in sources
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef) and "Conv" in ast.unparse(node) and "Module" in ast.unparse(node)
    }
    assert len(found) > 10
    return found


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("channels", [1, 4, 16])
def test_it_is_the_strided_convolution(channels: int, stride: int) -> None:
    """In float64 and default layout, where oneDNN plays no part."""
    torch.manual_seed(0)
    layer = StridedPointwise(channels, 5, stride).double()
    images = torch.randn(2, channels, 7, 5, dtype=torch.float64)
    expected = F.conv2d(images, layer.weight, stride=stride)
    found = layer(images)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_its_names_and_its_stride_are_those_of_a_convolution() -> None:
    layer = StridedPointwise(3, 5, 2)
    assert list(layer.state_dict()) == ["weight"]
    assert layer.weight.shape == nn.Conv2d(3, 5, 1).weight.shape
    stage = nn.Sequential()
    stage.add_module("first", nn.Conv2d(3, 5, 3, 2, 1))
    stage.add_module("shortcut", layer)
    set_stride(stage, 1)
    assert layer(torch.ones(1, 3, 6, 4)).shape == (1, 5, 6, 4)
