"""Published numbers of GCL and of the methods that it starts from, as printed."""

from __future__ import annotations

from reidbench import Published

MSMT17 = "msmt17-v2(train=trainval)"
TO_MARKET, TO_DUKE = "dukemtmc-reid->market1501", "market1501->dukemtmc-reid"
RANKS = "mAP cmc1 cmc5 cmc10"
_HEADLINE = (
    "starts from JVTC+, whose joint similarity at test uses cameras and frame numbers; the released code has no "
    "such evaluator"
)
_START = "a first stage that GCL starts from"
GCL = (
    *Published.table(
        "paper, headline row",
        dict.fromkeys(("market1501", "dukemtmc-reid", MSMT17), "mAP cmc1"),
        {"GCL(JVTC+), ResNet-50, 256x128, no source": "66.8 87.3 62.8 82.9 21.3 45.7"},
        "step",
        _HEADLINE,
        beside=False,
    ),
    *Published.table(
        "paper of JVTC, Table 2",
        dict.fromkeys(("market1501", "dukemtmc-reid"), f"{RANKS} cmc20"),
        {
            "JVTC, ResNet-50, no source": "41.8 72.9 84.2 88.7 92.0 42.2 67.6 78.0 81.6 84.5",
            "JVTC+, ResNet-50, no source": "47.5 79.5 89.2 91.9 94.0 50.7 74.6 82.9 85.3 87.2",
        },
        note=f"{_START}; with the +, similarity at test reads cameras and frame numbers",
        beside=False,
    ),
    *Published.table(
        "paper of JVTC, Table 2",
        dict.fromkeys((TO_MARKET, TO_DUKE), f"{RANKS} cmc20"),
        {
            "JVTC, ResNet-50": "61.1 83.8 93.0 95.2 96.9 56.2 75.0 85.1 88.2 90.4",
            "JVTC+, ResNet-50": "67.2 86.8 95.2 97.1 98.1 66.5 80.4 89.9 92.2 93.7",
        },
        note=f"{_START}; with the +, similarity at test reads cameras and frame numbers",
        beside=False,
    ),
    *Published.table(
        "paper of MMCL, as listed by OpenUnReID",
        dict.fromkeys(("market1501", "dukemtmc-reid", "msmt17-v1"), RANKS),
        {"MMCL, ResNet-50, no source": "45.5 80.3 89.4 92.3 40.2 65.2 75.9 80.0 11.2 35.4 44.8 49.8"},
        note=f"{_START}; which list of MSMT17 it trains on is not stated there",
        beside=False,
    ),
    *Published.table(
        "official README of ACT",
        dict.fromkeys((TO_DUKE, TO_MARKET, "market1501->msmt17-v1", "dukemtmc-reid->msmt17-v1"), "mAP cmc1"),
        {"ACT, ResNet-50": "54.5 72.4 60.6 80.5 10.6 26.0 15.0 36.8"},
        note=f"{_START}; which list of MSMT17 it trains on is not stated there",
        beside=False,
    ),
)
