"""Published numbers of MMT and of OpenUnReID's strong baseline, as printed."""

from __future__ import annotations

from reidbench import Published

from ..published import BEST, MSMT17, RANKS, TO_DUKE, TO_MARKET, ZOO, ZOO_SETS

_FIGURE = "table of results in the official README"
_R50, _IBN = "ResNet-50 from ImageNet, 256x128", "IBN-ResNet-50-a from ImageNet, 256x128"
_CHOSEN = "settings that differ from the paper's, training on the source in the same batches; chosen on validation data"
MMT = (
    *Published.table(
        _FIGURE,
        dict.fromkeys((TO_DUKE, TO_MARKET), RANKS),
        {
            f"MMT-500, {_R50}": "63.1 76.8 88.0 92.2 71.2 87.7 94.9 96.9",
            f"MMT-700, {_R50}": "65.1 78.0 88.8 92.5 69.0 86.8 94.6 96.9",
            f"MMT-900, {_R50}": "63.1 77.4 88.1 92.5 66.2 86.8 94.9 96.6",
            f"MMT-500, {_IBN}": "65.7 79.3 89.1 92.4 76.5 90.9 96.4 97.9",
            f"MMT-700, {_IBN}": "68.7 81.8 91.2 93.4 74.5 91.1 96.5 98.2",
            f"MMT-900, {_IBN}": "67.3 80.8 90.3 93.0 72.7 91.2 96.3 98.0",
        },
        "step",
        f"{BEST}, and the better of the two networks; the number is that of k-means clusters",
    ),
    *Published.table(
        _FIGURE,
        dict.fromkeys((f"market1501->{MSMT17}", f"dukemtmc-reid->{MSMT17}"), RANKS),
        {
            f"MMT-500, {_R50}": "16.6 37.5 50.6 56.5 17.9 41.3 54.2 59.7",
            f"MMT-1000, {_R50}": "21.6 46.1 59.8 66.1 23.5 50.0 63.6 69.2",
            f"MMT-1500, {_R50}": "22.9 49.2 63.1 68.8 23.3 50.1 63.9 69.8",
            f"MMT-2000, {_R50}": "20.8 45.7 59.6 65.6 22.4 49.0 62.5 67.8",
            f"MMT-500, {_IBN}": "19.6 43.3 56.1 61.6 23.3 50.0 62.8 68.4",
            f"MMT-1000, {_IBN}": "26.3 52.5 66.3 71.7 29.7 58.8 71.0 76.1",
            f"MMT-1500, {_IBN}": "26.6 54.4 67.6 72.9 29.3 58.2 71.6 76.8",
            f"MMT-2000, {_IBN}": "25.1 52.7 65.9 71.3 28.1 56.8 70.8 76.0",
        },
        "step",
        f"{BEST}, and the better of the two networks; the number is that of k-means clusters",
    ),
    *Published.table(
        _FIGURE,
        dict.fromkeys((TO_DUKE, TO_MARKET, f"market1501->{MSMT17}", f"dukemtmc-reid->{MSMT17}"), RANKS),
        {
            f"no adaptation, {_R50}": "29.6 46.0 61.5 67.2 31.8 61.9 76.4 82.2 7.1 19.4 28.9 34.2 9.4 27.0 38.1 43.7",
            f"no adaptation, {_IBN}": "35.4 54.0 67.7 72.9 35.6 65.3 79.7 84.3 9.5 25.3 36.1 41.6 11.9 32.6 44.7 50.4",
        },
        "step",
        "the networks that MMT starts from, trained on the source with target images in the batch norm",
        beside=False,
    ),
    *Published.table(
        ZOO,
        dict.fromkeys(ZOO_SETS, RANKS),
        {
            "MMT+, ResNet-50 from ImageNet": "80.9 92.2 97.6 98.4 67.7 80.3 89.9 92.9 74.3 88.1 96.0 97.5 "
            "60.3 75.6 86.0 89.2",
        },
        "step",
        f"MMT+: DBSCAN, GeM pooling and {_CHOSEN}",
        beside=False,
    ),
)

STRONG_BASELINE = Published.table(
    ZOO,
    dict.fromkeys(ZOO_SETS, RANKS),
    {
        "strong baseline, ResNet-50 from ImageNet": "75.6 90.9 96.6 97.8 60.4 75.9 86.2 89.8 70.5 87.9 95.7 97.1 "
        "54.7 72.9 83.5 87.2",
    },
    "step",
    "chosen on validation data",
)
