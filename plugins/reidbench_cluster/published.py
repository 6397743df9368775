"""Published numbers of SpCL, Cluster Contrast and the basic loop (UDA_TP), as printed."""

from __future__ import annotations

from reidbench import Published

BEST = "best round on test data"
MSMT17 = "msmt17-v1(train=trainval)"
RANKS = "mAP cmc1 cmc5 cmc10"
TO_MARKET, TO_DUKE = "dukemtmc-reid->market1501", "market1501->dukemtmc-reid"

_CC = "Cluster Contrast, ResNet-50 from ImageNet, 256x128, no source"
_CC_README = "official README, Table 2"
_CC_COLUMNS = dict.fromkeys(("market1501", "dukemtmc-reid", "personx"), RANKS)
CLUSTER_CONTRAST = (
    *Published.table(
        _CC_README,
        _CC_COLUMNS,
        {f"{_CC}, DBSCAN": "82.1 92.3 96.7 97.9 72.6 84.9 91.9 93.9 84.7 94.4 98.3 99.3"},
        "step",
        BEST,
    ),
    *Published.table(
        _CC_README,
        {"msmt17-v1": RANKS},
        {f"{_CC}, DBSCAN": "27.6 56.0 66.8 71.5"},
        "step",
        f"{BEST}; the training list of the authors' packed copy is not stated",
        beside=False,
    ),
    *Published.table(
        _CC_README,
        _CC_COLUMNS | {"msmt17-v1": RANKS},
        {
            f"{_CC}, Infomap": "83.0 92.9 97.2 98.0 73.6 85.5 92.2 94.3 86.6 95.3 98.8 99.5 31.2 61.5 71.8 76.7",
        },
        "step",
        f"{BEST}; Infomap is not implemented here",
        beside=False,
    ),
)

_SPCL_README = "paper and official README"
_UDA = (f"market1501->{MSMT17}", f"{MSMT17}->market1501", "personx->market1501", f"personx->{MSMT17}")
_FIRST = "first version of the paper, as listed by OpenUnReID"
ZOO = "model zoo of OpenUnReID"
ZOO_SETS = (TO_MARKET, TO_DUKE, "market1501", "dukemtmc-reid")
_PLUS = "SpCL+: GeM pooling and settings that differ from the paper's; chosen on validation data"
SPCL = (
    *Published.table(
        _SPCL_README,
        dict.fromkeys((*_UDA, "market1501", MSMT17), RANKS),
        {
            "SpCL, ResNet-50 from ImageNet, 256x128": "26.8 53.7 65.0 69.8 77.5 89.7 96.1 97.6 "
            "73.8 88.0 95.3 96.9 22.7 47.7 60.0 65.5 73.1 88.1 95.1 97.0 19.1 42.3 55.6 61.2",
            "SpCL, IBN-ResNet-50-a from ImageNet, 256x128": "31.0 58.1 69.6 74.1 79.9 92.0 97.1 98.1 "
            "77.9 90.5 96.1 97.7 25.4 50.6 63.3 68.3 73.8 88.4 95.3 97.3 24.0 48.9 61.8 67.1",
        },
        "step",
        BEST,
    ),
    *Published.table(
        _FIRST,
        dict.fromkeys((TO_MARKET, TO_DUKE, "dukemtmc-reid"), RANKS),
        {"SpCL, ResNet-50 from ImageNet, 256x128": "76.7 90.3 96.2 97.7 68.8 82.9 90.1 92.5 65.3 81.2 90.3 92.2"},
        "step",
        f"{BEST}; DukeMTMC-reID was taken out of the final paper",
    ),
    *Published.table(
        _FIRST,
        dict.fromkeys(("market1501", f"market1501->{MSMT17}", f"dukemtmc-reid->{MSMT17}"), RANKS),
        {"SpCL, ResNet-50 from ImageNet, 256x128": "72.6 87.7 95.2 96.9 25.4 51.6 64.3 69.7 26.5 53.1 65.8 70.5"},
        "step",
        f"{BEST}; the final paper has later numbers or omits them",
        beside=False,
    ),
    *Published.table(
        ZOO,
        dict.fromkeys(ZOO_SETS, RANKS),
        {
            "SpCL+, ResNet-50 from ImageNet": "78.2 90.5 96.6 97.8 70.4 83.8 91.2 93.4 76.0 89.5 96.2 97.5 "
            "67.1 82.4 90.8 93.0"
        },
        "step",
        _PLUS,
        beside=False,
    ),
    *Published.table(
        ZOO,
        dict.fromkeys(ZOO_SETS, RANKS),
        {
            "no adaptation, ResNet-50": "27.2 58.9 75.7 81.4 28.1 49.3 64.3 69.7 2.2 6.7 14.9 20.1 2.3 7.5 14.7 18.1",
        },
        "step",
        "from the source, or from ImageNet without a source",
        beside=False,
    ),
)

_UDA_TP = "UDA_TP, ResNet-50 from ImageNet, 256x128"
PSEUDO_LABEL = (
    *Published.table(
        "paper, as listed by OpenUnReID",
        dict.fromkeys((TO_MARKET, TO_DUKE), RANKS),
        {_UDA_TP: "53.7 75.8 89.5 93.2 49.0 68.4 80.1 83.5"},
        note="the loop with the paper's eps, distances to the source and triplets, which are not offered here",
    ),
    *Published.table(
        ZOO,
        dict.fromkeys(ZOO_SETS, RANKS),
        {
            "UDA_TP, ResNet-50 from ImageNet": "52.3 76.0 87.8 91.9 45.7 65.5 78.0 81.7 34.7 58.6 74.0 78.9 "
            "42.3 64.4 76.0 79.9",
        },
        "step",
        "with OpenUnReID's settings; chosen on validation data",
        beside=False,
    ),
)
