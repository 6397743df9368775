"""Published numbers of CLIP-ReID."""

from __future__ import annotations

from reidbench import Published

COLUMNS = dict.fromkeys(("market1501", "msmt17-v1(train=trainval)", "dukemtmc-reid", "occluded-duke"), "mAP cmc1")
CLIP_REID = Published.table(
    "paper, Table 1",
    COLUMNS,
    {"CLIP-ReID, ViT-B/16, 256x128": "89.6 95.5 73.4 88.7 82.5 90.0 59.5 67.1"},
    "step",
    "taken from later work that quotes it; the paper's own table was not available",
)
