"""Example of hf for `reidbench check`: the configuration of a small timm model, with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def timm_config(folder: Path) -> dict[str, Any]:
    """Return parameters that name a file in the folder."""
    file = folder / "config.json"
    file.write_text(json.dumps({"architecture": "test_resnet", "num_classes": 0}))
    return {"config_file": file}
