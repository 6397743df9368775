"""A stage without the harness: its context, its log lines, and the same stage killed and resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from safetensors import safe_open
from torch import nn

from reidbench import Context
from reidbench.training import TrainingCheckpoint

Kind = TypeVar("Kind", bound="Context[Any]")
Lines = list[dict[str, float]]
NEVER = 10**9


class Killed(Exception):
    """Raised to end a stage in the middle of its log."""


def make_context(
    kind: type[Kind], out: Path, params: Any, *, die_after: int = NEVER, **parts: Any
) -> tuple[Kind, Lines]:
    """A context on the CPU for images of 32x16, and the lines that its stage logs.

    `parts` are the other fields of the kind, and override the defaults. The log raises Killed instead of taking line
    `die_after`, counted from 0. The checkpoint stays in `out`: a second context there resumes from it.
    """
    lines: Lines = []

    def log(line: Mapping[str, float]) -> None:
        if len(lines) == die_after:
            raise Killed
        lines.append(dict(line))

    out.mkdir(parents=True, exist_ok=True)
    common = {
        "image_size": (32, 16), "seed": 0, "device": "cpu", "workers": 0, "out": out, "scratch": out, "log": log,
        "checkpoint": TrainingCheckpoint(out / "checkpoint"), "progress": lambda done, total: None,
        "record_clusters": lambda epoch, labels: None, "make_fabric": cpu_fabric,
    }  # fmt: skip
    return kind(params=params, **{**common, **parts}), lines


def cpu_fabric() -> Any:
    """Lightning Fabric on one CPU device."""
    from lightning_fabric import Fabric

    return Fabric(accelerator="cpu", devices=1)


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all parameters and buffers by name."""
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(first: nn.Module | Mapping[str, torch.Tensor], second: nn.Module | Mapping[str, torch.Tensor]) -> bool:
    """Whether two networks, or their tensors by name, have the same names and are equal to the last bit."""
    one, other = (found.state_dict() if isinstance(found, nn.Module) else found for found in (first, second))
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def with_workers_where_cut(made: tuple[Kind, Lines], out: Path) -> tuple[Kind, Lines]:
    """For `check_resumes`: the killed stage prepares its batches with two workers, the other one in its step."""
    ctx, lines = made
    return replace(ctx, workers=0 if out.name == "whole" else 2), lines


def check_resumes(
    folder: Path, made: Callable[..., tuple[Context[Any], Lines]], run: Callable[[Any], Any], after: int
) -> tuple[Any, Lines]:
    """Kill a stage after it has logged `after` lines, run it again, and compare it with an uninterrupted one.

    `made(out, die_after)` returns the context of the stage and its log. The returned network, each line logged after
    the kill and each file in `out` must be equal to the last bit, for any state of the global generators. Returns the
    network and the lines of the uninterrupted stage.
    """
    torch.manual_seed(1)
    ctx, lines = made(folder / "whole", NEVER)
    whole = run(ctx)
    with pytest.raises(Killed):
        run(made(folder / "cut", after)[0])
    torch.manual_seed(12345)
    ctx, rest = made(folder / "cut", NEVER)
    resumed = run(ctx)
    assert 0 < len(rest) == len(lines) - after, "it restarted from the beginning"
    assert rest == lines[after:]
    assert whole is None or same(whole, resumed)
    assert files_of(folder / "whole") == files_of(folder / "cut")
    return whole, lines


def files_of(folder: Path) -> dict[str, Any]:
    """Files that a stage writes, except its checkpoint."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != "checkpoint")
    return {str(file.relative_to(folder)): _content(file) for file in files}


def _content(file: Path) -> Any:
    """All bytes of a file, except the order of safetensors' metadata, which varies."""
    if file.suffix != ".safetensors":
        return file.read_bytes()
    with safe_open(file, "np") as tensors:
        return tensors.metadata(), {name: tensors.get_tensor(name).tobytes() for name in tensors.keys()}  # noqa: SIM118
