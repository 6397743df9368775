"""Read the tensors of a checkpoint or safetensors file by name, from any container; nothing in it is executed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.files.tensors import load_checkpoint_safely

DEEPEST = 8  # nested containers; one may contain itself
# Where projects store the tensors.
CONTAINERS = ("state_dict", "model", "model_state_dict", "network", "net", "teacher")
STUDENT = "student"  # of a distillation, whose authors continue with the teacher; never used instead of it
State = dict[str, torch.Tensor]


def read_checkpoint(file: Path) -> dict[Any, Any]:
    """Contents of a .pth, .tar or .safetensors file, with its containers.

    Raises ReidbenchError if it is not a checkpoint, or is a pickle that would run code.
    """
    content = load_checkpoint_safely(file)
    if not isinstance(content, dict):
        raise ReidbenchError(f"{shown(file)}: contains a {type(content).__name__}, not tensors by name")
    return content


def read_state(file: Path) -> State:
    """Tensors of a checkpoint by their names in the file, without the container.

    Raises ReidbenchError for a file that is not a checkpoint, a pickle that would run code, a file without named
    tensors or with several networks and no obvious one, and tensors that are not plain arrays.
    """
    return state_of(read_checkpoint(file), shown(file))


def state_of(content: Mapping[Any, Any], where: str) -> State:
    """Tensors of a loaded checkpoint, as by `read_state`."""
    inner, _ = innermost(content, where)
    state = {str(name): value for name, value in inner.items() if isinstance(value, torch.Tensor)}
    if not state:
        known = ", ".join(shown(str(name)) for name in list(inner)[:5])
        arrays = any(isinstance(value, np.ndarray) for value in inner.values())
        cure = "; these are numpy arrays: save torch.from_numpy(array) for each" if arrays else ""
        raise ReidbenchError(f"{where}: the file has no tensors by name; it contains {known or 'nothing'}{cure}")
    require_plain(where, state)
    return state


def innermost(content: Mapping[Any, Any], where: str) -> tuple[Mapping[Any, Any], tuple[str, ...]]:
    """Container of a checkpoint's tensors, and the names of other networks that were skipped.

    Known names come first, then the only container with named tensors. Raises ReidbenchError for several.
    """
    aside: dict[str, None] = {}
    for _ in range(DEEPEST):
        holding = [key for key, value in content.items() if isinstance(value, Mapping) and _holds_tensors(value)]
        known = [key for key in CONTAINERS if key in holding]
        if set(holding) <= {STUDENT} or (not known and _tensors(content)):
            break
        if not known and len(holding) > 1:
            names = ", ".join(shown(str(key)) for key in holding[:5])
            raise ReidbenchError(f"{where}: contains several networks ({names}): save only the intended one")
        inner = content[(known or holding)[0]]
        others = {str(key): content[key] for key in holding if content[key] is not inner}
        aside |= dict.fromkeys(name for name, other in others.items() if any("." in name for name in _tensors(other)))
        content = inner
    return content, tuple(aside)


def _tensors(container: Mapping[Any, Any]) -> list[str]:
    """Names of a container's own tensors, without scalars such as a best score."""
    return [
        name
        for name, value in container.items()
        if isinstance(name, str) and isinstance(value, torch.Tensor) and value.ndim
    ]


def _holds_tensors(container: Mapping[Any, Any]) -> bool:
    """Whether a container or a nested one has named tensors; an optimiser numbers them."""
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
            raise ReidbenchError(f"{where}: {shown(name)} is not a plain array of real numbers ({kind})")


def require_numbers(where: str, found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    """Raise ReidbenchError if a tensor that the network needs as real numbers has others, or non-finite ones."""
    for name, tensor in found.items():
        if not expected[name].is_floating_point():
            continue
        if not tensor.is_floating_point():
            kind = str(tensor.dtype).replace("torch.", "")
            raise ReidbenchError(f"{where}: {name} contains {kind}, the network real numbers; is it a quantized copy?")
        if not torch.isfinite(tensor.to(expected[name].dtype)).all():
            raise ReidbenchError(f"{where}: {name} contains NaN or infinity: the training that wrote it failed")
