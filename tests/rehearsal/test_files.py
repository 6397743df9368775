"""Stand-in weights are what the readers of each layout take, tensor for tensor."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from reidbench.rehearsal.files import write_state
from reidbench.training import load_weights, read_state
from reidbench.training.weights.layouts import LAYOUTS


class Small(nn.Module):
    """Two layers by the names of a ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 2, 1)
        self.bn1 = nn.BatchNorm2d(2)


@pytest.mark.parametrize("ending", ["pth", "tar", "safetensors"])
@pytest.mark.parametrize("layout", ["", "auto", *LAYOUTS])
def test_the_file_is_read_by_its_layout(layout: str, ending: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    written, read = Small(), Small()
    file = tmp_path / f"weights.{ending}"
    write_state(file, written.state_dict(), layout)
    load_weights(read, read_state(file), layout=layout or "auto", where="file", exactly=True)
    pairs = zip(written.state_dict().values(), read.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
