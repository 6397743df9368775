"""Pickles that other programs wrote with torch.save, read so that nothing in them can run."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .data.names import shown
from .data.placeholders import refuse_placeholder
from .errors import DataError

_NAMED = re.compile(r"GLOBAL ([^\s`]+)|class ([\w.]+\.[\w.]+)")
_ADVICE = "it holds {what}, and loading that could run code; save plain tensors, arrays, numbers and texts"


def load_pickle_safely(path: Path) -> Any:
    """What torch.save wrote: tensors (on the CPU), numpy arrays, and dictionaries, lists, numbers and texts.

    Raises DataError, one sentence: a file that is not there, empty, cut short or of another kind, and one that holds
    anything else, whose class is named.
    """
    import torch

    path = Path(path)
    refuse_placeholder(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_numpy_globals()):
            warnings.simplefilter("ignore")  # about pickles of other protocols
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises many kinds for a file that is not its own
        raise DataError(
            f"{shown(path)}: not a file of plain tensors that torch loads safely: {_reason(error)}"
        ) from None


def _numpy_globals() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What a pickled array of numbers or texts needs to be put together again, under the names of numpy 1 and 2."""
    rebuild = {"_reconstruct": np.zeros(0).__reduce__()[0], "scalar": np.float64(0).__reduce__()[0]}
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")
    functions: list[Any] = [(call, f"{module}.{name}") for module in modules for name, call in rebuild.items()]
    kinds = {type(np.dtype(code)) for code in "?bhilqBHILQefdgFDGSUMm"}
    return [np.ndarray, np.dtype, *functions, *kinds]


def _reason(error: Exception) -> str:
    """What is wrong, in a line of ours: torch's own advice is to load the file unsafely."""
    text = str(error)
    if named := _NAMED.search(text):
        return _ADVICE.format(what=shown(named[1] or named[2]))
    if isinstance(error, RuntimeError | EOFError) and "magic number" not in text:
        return f"it is damaged or cut short ({shown(text.partition('. ')[0].strip() or 'it ends too early')})"
    return "it is damaged, or torch.save did not write it (a plain pickle is not read: use numpy.savez or torch.save)"
