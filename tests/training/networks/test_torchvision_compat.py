"""torchvision works with a torch that its compiled operators were not built for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def run(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_models_and_transforms_import_after_the_compatibility_module() -> None:
    code = (
        "import reidbench.training.networks.torchvision_compat as compat\n"
        "from torchvision import models\nfrom torchvision.transforms import v2\n"
        "import torch\n"
        "print(models.resnet18()(torch.zeros(1, 3, 64, 32)).shape[1])\n"
        "print(v2.Resize((4, 2))(torch.zeros(3, 8, 4)).shape[1])\n"
        "print(compat.prepare() == bool(compat._libraries), len(compat._libraries) <= 1)\n"
    )
    assert run(code).split() == ["1000", "4", "True", "True"]
