"""Published numbers of AGW with images of one modality, as printed."""

from __future__ import annotations

from reidbench import Published

_AGW = "AGW, ResNet-50 from ImageNet, 256x128"
_METRICS = "cmc1 mAP mINP"
_ZOO = "model zoo of fast-reid"
_OTHER = "another implementation: the ReLU of the stem is kept, as here; the recipe differs"
_THREE = dict.fromkeys(("market1501", "dukemtmc-reid", "msmt17-v1"), _METRICS)
AGW = (
    *Published.table(
        "official README",
        dict.fromkeys(("dukemtmc-reid", "market1501"), _METRICS),
        {_AGW: "89.0 79.6 45.7 95.1 87.8 65.0"},
        "step",
    ),
    *Published.table(
        "official README",
        {"cuhk03-np": _METRICS},
        {_AGW: "63.6 62.0 50.3"},
        "step",
        "the README does not state the boxes; detected ones are the code's default",
    ),
    *Published.table(
        "official README",
        {"msmt17-v1": _METRICS},
        {_AGW: "68.3 49.3 14.7"},
        "step",
        "the README states neither the version of MSMT17 nor whether its validation part is used in training",
    ),
    *Published.table(_ZOO, _THREE, {_AGW: "95.3 88.2 66.3 89.0 79.9 46.3 76.7 53.6 12.2"}, "step", _OTHER),
    *Published.table(
        _ZOO,
        _THREE,
        {
            "AGW, ResNet-50-IBN-a from ImageNet, 256x128": "95.1 88.7 67.1 89.8 80.7 47.7 79.3 57.5 14.3",
            "AGW, ResNeSt-50 from ImageNet, 256x128": "94.7 87.1 62.2 89.9 79.7 44.2 77.3 54.7 12.6",
            "AGW, ResNet-101-IBN-a from ImageNet, 256x128": "95.5 89.5 69.5 91.4 82.1 50.2 80.8 60.2 16.5",
        },
        "step",
        _OTHER,
        beside=False,
    ),
)
