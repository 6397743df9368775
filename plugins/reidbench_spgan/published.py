"""Published numbers of SPGAN: the official README's figure, and the paper's numbers as others cite them."""

from __future__ import annotations

from reidbench import Published

TO_MARKET, TO_DUKE = "dukemtmc-reid->market1501", "market1501->dukemtmc-reid"
ROW = "IDE, ResNet-50 from ImageNet, 224x224"
SPGAN = (
    *Published.table(
        "paper, as cited by HHL, Table 4; without LMP also by OpenUnReID's leaderboard",
        dict.fromkeys((TO_MARKET, TO_DUKE), "cmc1 cmc5 cmc10 mAP"),
        {
            f"{ROW}, SPGAN": "51.5 70.1 76.8 22.8 41.1 56.6 63.0 22.3",
            f"{ROW}, SPGAN + LMP": "57.7 75.8 82.4 26.7 46.4 62.3 68.0 26.2",
        },
        "trapezoid",
        "lists of results also give the later arXiv version's rank 1 with LMP: 58.1 (to Market) and 46.9 (to Duke)",
    ),
    *Published.table(
        "official README, bar chart",
        dict.fromkeys((TO_MARKET, TO_DUKE), "cmc1"),
        {
            f"{ROW}, CycleGAN without identity loss": "45.6 38.1",
            f"{ROW}, CycleGAN + L_ide": "48.1 38.5",
        },
    ),
    *Published.table(
        "official README, bar chart",
        dict.fromkeys((TO_MARKET, TO_DUKE), "cmc1"),
        {f"{ROW}, direct transfer": "43.1 33.1"},
        note="source images without translation",
        beside=False,
    ),
    *Published.table(
        "official README, bar chart",
        dict.fromkeys(("market1501", "dukemtmc-reid"), "cmc1"),
        {f"{ROW}, trained on the target's own labels": "75.8 66.7"},
        beside=False,
    ),
)
