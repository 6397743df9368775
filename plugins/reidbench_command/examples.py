"""Example program for `reidbench check`: mean colours of the images, run by the current interpreter."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from reidbench.check import Example

EXTRACT = """import sys
from pathlib import Path
import numpy as np
from PIL import Image
files = sorted(Path(sys.argv[1]).iterdir())
features = [np.asarray(Image.open(file).convert("RGB")).reshape(-1, 3).mean(0) for file in files]
np.savez(Path(sys.argv[2]) / "features.npz", features=features, names=[file.name for file in files])
"""
TRAIN = """import sys
from pathlib import Path
count = sum(path.is_file() for path in Path(sys.argv[1]).rglob("*"))
(Path(sys.argv[2]) / "count.txt").write_text(str(count))
"""


def finetuner(folder: Path) -> dict[str, Any]:
    """Return parameters of a program that counts the images of the source."""
    return _params(folder, "source")


def adapter(folder: Path) -> Example:
    """Return an example program that counts the images of the target, without a step before it."""
    return Example(_params(folder, "target"), before=())


def _params(folder: Path, role: str) -> dict[str, Any]:
    files = {"extract.py": EXTRACT, "train.py": TRAIN}
    for name, text in files.items():
        (folder / name).write_text(text)
    python, extract, train = (shlex.quote(str(path)) for path in (sys.executable, *(folder / name for name in files)))
    return {
        "extract": f"{python} {extract} {{images}} {{out}} {{model}}",
        "train": f"{python} {train} {{{role}}} {{out}}",
        "files": [str(folder / name) for name in files],
        "layout": "csv",  # the check's task has no cameras, which Market-1501 names require
    }
