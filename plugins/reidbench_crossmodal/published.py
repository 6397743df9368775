"""Published numbers of AGW across modalities, as printed."""

from __future__ import annotations

from reidbench import Published

_LOCAL = "with non-local blocks, which two-stream does not have"
_METRICS = "cmc1 mAP mINP"
_ALL = (  # protocol words of the preset sysu-mm01-all-single
    "across modalities",
    "queries of cameras 2+5",
    "gallery of cameras 0+1+3+4",
    "camera 1 skipped for queries of camera 2",
    "gallery 1 shot per identity and camera x10",
    "CMC over identities",
)
_INDOOR = tuple(word.replace("0+1+3+4", "0+1") for word in _ALL)
AGW = (
    *Published.table(
        "official README",
        {"sysu-mm01": _METRICS},
        {"AGW, ResNet-50, 288x144, all search, single shot": "47.50 47.65 35.30"},
        "step",
        _LOCAL,
        rules=_ALL,
    ),
    *Published.table(
        "README of mangye16/DDAG, which lists AGW",
        {"sysu-mm01": _METRICS},
        {"AGW, ResNet-50, 288x144, indoor search, single shot": "54.17 62.97 59.23"},
        "step",
        _LOCAL,
        rules=_INDOOR,
    ),
    *Published.table(
        "official README",
        {"regdb": _METRICS},
        {"AGW, ResNet-50, 288x144, visible to thermal": "70.05 66.37 50.19"},
        "step",
        f"{_LOCAL}; the mean over ten splits, which are ten tasks here",
        rules=("across modalities", "no camera rule"),
    ),
)
