"""Settings from the notes on the system, which give no image size, epochs or margins."""

from __future__ import annotations

from typing import Any

from reidbench import Preset

_NOTES: dict[str, Any] = {
    "image_size": (256, 128), "branches": "grid", "identities": 16, "images": 4,
    "id_weight": 0.1, "triplet_weight": 0.9, "distance": "cosine",
    "drop_singles": True, "double_below": 100, "double_probability": 0.5,
    "random_patch": 0.5, "patch_minimum": 100, "random_shift": 0.5, "shift_least": 0.7, "erase": 0.0,
}  # fmt: skip
_SOURCE = "notes on the system; the size of DMT's model_a, one of its relatives"
COMPETITION = {"paper": Preset(_SOURCE, **_NOTES)}
JOINT = {"paper": Preset(_SOURCE, **_NOTES, threshold=0.5, mutual="drop")}

# A few steps with a small batch, for `reidbench rehearse`; the first patches are pasted immediately.
FEW: dict[str, Any] = {"epochs": 1, "identities": 2, "images": 2, "accumulate": 1, "patch_minimum": 1}
