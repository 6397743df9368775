"""The tensors of a checkpoint or safetensors file by name, whatever a project put around them; nothing of it is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.files.tensors import load_checkpoint_safely

DEEPEST = 8  # containers within each other; one may hold itself
CONTAINERS = ("state_dict", "model", "model_state_dict", "network", "net", "teacher")  # where projects put the tensors
STUDENT = "student"  # of a distillation, whose teacher is what its makers go on with; never taken in its place
State = dict[str, torch.Tensor]


def read_checkpoint(file: Path) -> dict[Any, Any]:
    """The content of a .pth, .tar or .safetensors file, its containers as they are.

    Raises ReidbenchError for what is no checkpoint, and for a pickle that would run code.
    """
    content = load_checkpoint_safely(file)
    if not isinstance(content, dict):
        raise ReidbenchError(f"{shown(file)}: holds a {type(content).__name__}, not tensors by name")
    return content


def read_state(file: Path) -> State:
    """The tensors of a checkpoint by the names that they have there, out of their container.

    Raises ReidbenchError for what is no checkpoint, a pickle that would run code, a file without tensors by name or
    with several networks of which none is the obvious one, and tensors that are not plain arrays.
    """
    return state_of(read_checkpoint(file), shown(file))


def state_of(content: Mapping[Any, Any], where: str) -> State:
    """The same of a checkpoint that was read."""
    inner, _ = innermost(content, where)
    state = {str(name): value for name, value in inner.items() if isinstance(value, torch.Tensor)}
    if not state:
        known = ", ".join(shown(str(name)) for name in list(inner)[:5])
        arrays = any(isinstance(value, np.ndarray) for value in inner.values())
        cure = "; those are numpy arrays: save torch.from_numpy(array) of each" if arrays else ""
        raise ReidbenchError(f"{where}: the file has no tensors by name; it holds {known or 'nothing'}{cure}")
    require_plain(where, state)
    return state


def innermost(content: Mapping[Any, Any], where: str) -> tuple[Mapping[Any, Any], tuple[str, ...]]:
    """The container of a checkpoint's tensors, and the names of other networks that were left aside.

    Known names come first, then the only container that has tensors by name. Raises ReidbenchError for several.
    """
    aside: dict[str, None] = {}
    for _ in range(DEEPEST):
        holding = [key for key, value in content.items() if isinstance(value, Mapping) and _holds_tensors(value)]
        known = [key for key in CONTAINERS if key in holding]
        if set(holding) <= {STUDENT} or (not known and _tensors(content)):
            break
        if not known and len(holding) > 1:
            names = ", ".join(shown(str(key)) for key in holding[:5])
            raise ReidbenchError(f"{where}: contains several networks ({names}): save the one that is meant alone")
        inner = content[(known or holding)[0]]
        others = {str(key): content[key] for key in holding if content[key] is not inner}
        aside |= dict.fromkeys(name for name, other in others.items() if any("." in name for name in _tensors(other)))
        content = inner
    return content, tuple(aside)


def _tensors(container: Mapping[Any, Any]) -> list[str]:
    """The names of a container's own tensors; single numbers, such as a best score, are none of a network."""
    return [
        name
        for name, value in container.items()
        if isinstance(name, str) and isinstance(value, torch.Tensor) and value.ndim
    ]


def _holds_tensors(container: Mapping[Any, Any]) -> bool:
    """Whether it has tensors by name, or a container within it has; an optimiser has them by number."""
    waiting, seen = [container], set()
    while waiting:
        one = waiting.pop()
        if _tensors(one):
            return True
        seen.add(id(one))
        inner = [value for key, value in one.items() if isinstance(key, str) and isinstance(value, Mapping)]
        waiting += [value for value in inner if id(value) not in seen]
    return False


def require_plain(where: str, state: Mapping[str, torch.Tensor]) -> None:
    """Raise ReidbenchError unless all tensors are plain arrays of real numbers that can be copied into a network."""
    for name, tensor in state.items():
        plain = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not plain or tensor.is_complex():
            kind = f"{tensor.dtype}, {tensor.layout}, on {tensor.device}".replace("torch.", "")
            raise ReidbenchError(f"{where}: {shown(name)} is no plain array of real numbers ({kind})")


def require_numbers(where: str, found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    """Raise ReidbenchError unless what is copied into real numbers are real numbers, and finite ones."""
    for name, tensor in found.items():
        if not expected[name].is_floating_point():
            continue
        if not tensor.is_floating_point():
            kind = str(tensor.dtype).replace("torch.", "")
            raise ReidbenchError(f"{where}: {name} holds {kind}, the network real numbers: a quantized copy?")
        if not torch.isfinite(tensor.to(expected[name].dtype)).all():
            raise ReidbenchError(
                f"{where}: {name} holds numbers that are not finite: the training that wrote it failed"
            )
