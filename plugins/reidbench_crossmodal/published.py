"""Numbers that were published for AGW across modalities, as they are printed."""

from __future__ import annotations

from reidbench import Published

_LOCAL = "with non-local blocks, which two-stream does not have"
_METRICS = "cmc1 mAP mINP"
AGW = (
    *Published.table(
        "official README",
        {"sysu-mm01": _METRICS},
        {"AGW, ResNet-50, 288x144, all search, single shot": "47.50 47.65 35.30"},
        "step",
        f"{_LOCAL}; rule of sysu-mm01-all-single",
    ),
    *Published.table(
        "README of mangye16/DDAG, which lists AGW",
        {"sysu-mm01": _METRICS},
        {"AGW, ResNet-50, 288x144, indoor search, single shot": "54.17 62.97 59.23"},
        "step",
        f"{_LOCAL}; rule of sysu-mm01-indoor-single",
    ),
    *Published.table(
        "official README",
        {"regdb": _METRICS},
        {"AGW, ResNet-50, 288x144, visible to thermal": "70.05 66.37 50.19"},
        "step",
        f"{_LOCAL}; the mean over ten splits, which are ten tasks here",
    ),
)
