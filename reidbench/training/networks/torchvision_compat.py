"""Make `import torchvision` work if its compiled operators do not load.

A torchvision wheel built for another torch (typically a CUDA build with a CPU torch) cannot load its compiled
operators, and its import then fails with "operator torchvision::nms does not exist", because it registers shape
functions for undefined operators. Defining the two operator schemas first enables everything that needs no compiled
operator: models, transforms, weights. `torchvision.ops.nms` and the decoders of `torchvision.io` stay unavailable;
images are decoded with Pillow.

Import this module before torchvision, or before any package that imports it (timm).
"""

from __future__ import annotations

from typing import Any

import torch

SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_libraries: list[torch.library.Library] = []  # definitions live as long as their library object


def prepare() -> bool:
    """Define the missing schemas. Returns whether any was missing; a second call has no effect."""
    if _libraries:
        return True
    if _compiled_operators_load():
        return False
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name, schema in SCHEMAS.items():
        if not hasattr(torch.ops.torchvision, name):
            library.define(schema)  # type: ignore[no-untyped-call]
    _libraries.append(library)
    return True


def _compiled_operators_load() -> bool:
    """Load torchvision's extension as torchvision does, found without importing the package."""
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return True  # not installed: the import itself raises
    for folder in spec.submodule_search_locations:
        for extension in sorted(Path(folder).glob("_C*.so")):
            try:
                torch.ops.load_library(str(extension))  # type: ignore[no-untyped-call]
            except OSError:
                return False
    return hasattr(torch.ops.torchvision, "nms")


def torchvision_models() -> Any:
    """`torchvision.models`, imported after `prepare`."""
    prepare()
    from torchvision import models

    return models


prepare()
