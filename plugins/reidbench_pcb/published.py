"""Published numbers of PCB, as printed."""

from __future__ import annotations

from reidbench import Published

_NET = "ResNet-50 from ImageNet, 384x128"
_PCB, _RPP = f"PCB, {_NET}", f"PCB + RPP, {_NET}"
_G, _H = "pooled features (G)", "reduced features (H)"
_SETS = dict.fromkeys(("market1501", "dukemtmc-reid", "cuhk03-np"), "cmc1 mAP")
_MARKET = {"market1501": "cmc1 mAP"}
_HUANG = "huanghoujing/beyond-part-models"
PCB = (
    *Published.table(
        "official README",
        _MARKET,
        {f"{_PCB}, {_G}": "93.0 78.0", f"{_RPP}, {_G}": "93.5 81.5"},
        note="printed with the word about",
    ),
    *Published.table(
        f"paper, as listed by the README of {_HUANG}", _SETS, {f"{_PCB}, {_H}": "92.4 77.3 81.9 65.3 61.3 54.2"}
    ),
    *Published.table(
        "paper, as listed by the README of Xiaoccer/ReID-PCB_RPP",
        _MARKET,
        {f"{_PCB}, {_G}": "92.3 77.4", f"{_RPP}, {_G}": "93.8 81.6", f"{_RPP}, {_H}": "93.1 81.0"},
    ),
    *Published.table(
        "paper, as listed by the README of ZJULearning/PTL",
        _SETS,
        {_RPP: "93.8 81.6 83.3 69.2 63.7 57.5"},
        note="the listing does not name the features; on Market-1501 the numbers are those of the pooled ones (G)",
    ),
    *Published.table(
        f"README of the reproduction {_HUANG}",
        _SETS,
        {
            f"{_PCB}, {_H}, shared 1x1 convolution": "90.86 73.25 82.00 64.88 47.29 42.05",
            f"{_PCB}, {_H}, separate 1x1 convolutions": "92.87 78.54 84.47 69.94 59.14 53.93",
        },
        note="another implementation; separate is `reduction: separate`",
    ),
    *Published.table(
        "README of the reproduction Xiaoccer/ReID-PCB_RPP",
        _MARKET,
        {f"{_PCB}, {_G}": "92.7 78.6", f"{_RPP}, {_G}": "92.8 80.7", f"{_RPP}, {_H}": "92.4 79.8"},
        note="another implementation, with the schedule of `preset: rpp`",
    ),
)
