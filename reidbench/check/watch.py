"""Side effects of a component: files written outside its folders, and changed settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_ACTIVE: list[set[str]] = []
_WRITING = os.O_WRONLY | os.O_RDWR
_installed = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _ACTIVE:
        return
    if event == "open":
        path, _, flags = arguments
        if not isinstance(flags, int) or not flags & _WRITING:
            return
    elif event == "os.mkdir":
        path = arguments[0]
        if os.path.lexists(path):  # mkdir(exist_ok=True) of an existing folder
            return
    elif event == "os.rename":
        path = arguments[1]
    else:
        return
    if isinstance(path, str | bytes | os.PathLike):
        _ACTIVE[-1].add(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 - called for every file, so it must be cheap


@contextmanager
def written_files(allowed: Sequence[Path]) -> Iterator[list[str]]:
    """Yield a list that contains, after the block, files written outside `allowed` that still exist.

    Python's file operations are seen everywhere; files written by C libraries are seen in the working folder, which
    must be empty at the start. Compiled modules and devices are ignored.
    """
    global _installed
    if not _installed:
        sys.addaudithook(_hook)  # permanent: an audit hook cannot be removed; it does nothing outside a block
        _installed = True
    found: list[str] = []
    seen: set[str] = set()
    _ACTIVE.append(seen)
    try:
        yield found
    finally:
        _ACTIVE.remove(seen)
        here = [str(path) for path in Path.cwd().rglob("*")]
        inside = [os.path.realpath(path) + os.sep for path in allowed]
        for path in sorted({*seen, *here}):
            real = os.path.realpath(path)
            ours = any((real + os.sep).startswith(folder) for folder in inside)
            if os.path.lexists(path) and not ours and not real.startswith(("/dev/", "/proc/")):
                found += [] if "__pycache__" in path else [path]


@contextmanager
def empty_working_folder(folder: Path) -> Iterator[None]:
    """Change to a new empty folder, with import paths made absolute."""
    folder.mkdir(parents=True)
    before, paths = Path.cwd(), list(sys.path)
    sys.path[:] = [os.path.abspath(path or ".") for path in paths]  # noqa: PTH100 - import paths are text
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        sys.path[:] = paths


def settings(environment: bool) -> dict[str, Any]:
    """Return the process settings that a component must not change."""
    found: dict[str, Any] = {"the working folder": os.getcwd(), "numpy's error handling": np.geterr()}  # noqa: PTH109
    if environment:  # only once everything is imported, since libraries set variables on import
        found |= {f"the variable {name}": value for name, value in os.environ.items()}
    if "torch" in sys.modules:
        import torch

        found |= {
            "torch's default dtype": torch.get_default_dtype(),
            "torch's default device": torch.get_default_device(),
            "torch's gradient mode": torch.is_grad_enabled(),
            "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
            "torch's number of threads": torch.get_num_threads(),
            "torch's anomaly mode": torch.is_anomaly_enabled(),
            "torch's matmul precision": torch.get_float32_matmul_precision(),
            "torch.backends.cudnn.benchmark": torch.backends.cudnn.benchmark,
        }
    return found


def restore(before: Mapping[str, Any]) -> None:
    """Restore settings, so that other components do not inherit changes."""
    np.seterr(**before["numpy's error handling"])
    if "torch's default dtype" in before:
        import torch

        torch.set_default_dtype(before["torch's default dtype"])
        torch.set_grad_enabled(before["torch's gradient mode"])
        torch.set_float32_matmul_precision(before["torch's matmul precision"])
        torch.autograd.set_detect_anomaly(before["torch's anomaly mode"])
        torch.backends.cudnn.benchmark = before["torch.backends.cudnn.benchmark"]


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the names of settings that differ or are new."""
    return [name for name, value in after.items() if name not in before or before[name] != value]


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Return sizes and modification times of all files under a folder, or of one file."""
    files = [folder] if folder.is_file() else [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}
