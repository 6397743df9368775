"""csv-manifest: a file offers the labels beyond identity that any image has; tasks on other labels lack them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.registry.plugins import Registry
from reidbench.words import MORE_LABELS

HEADER = "path,pid,split,camid,clothes,modality,tracklet,attributes\n"


@pytest.mark.parametrize(
    ("row", "known"),
    [
        (",,,", set()),
        ("-1,,-1,", set()),
        ("0,,,", {"clothes"}),
        (",infrared,,bag=no", {"modality", "attributes"}),
        (",,3,", {"tracklets"}),
        ("1,thermal,0,bag=no", set(MORE_LABELS)),
    ],
)
def test_a_manifest_lacks_the_labels_that_no_image_has(
    row: str, known: set[str], tmp_path: Path, registry: Registry
) -> None:
    file = tmp_path / "m.csv"
    file.write_text(f"{HEADER}a.jpg,1,train,0,,,,\nb.jpg,2,query,0,{row}\nc.jpg,2,gallery,1,,,,\n")
    component = registry.get("dataset", "csv-manifest")
    params = component.params()
    assert component.capabilities_with(params) == MORE_LABELS
    nowhere = MORE_LABELS - known
    parts = {f"{word} in {part}" for word in MORE_LABELS for part in ("train", "test")}  # the gallery has none of them
    enough = {"tracklets in test"} if "tracklets" in known else set()  # the query's alone can be pooled
    assert component.lacked(params, file) == nowhere | (parts - enough)


@pytest.mark.parametrize(
    ("train", "query", "gallery", "lacked"),
    [
        ("1", "", "", {"clothes in test"}),
        ("", "1", "", {"clothes in train", "clothes in test"}),
        ("", "", "1", {"clothes in train", "clothes in test"}),
        ("", "1", "1", {"clothes in train"}),
        ("1", "1", "1", set()),
        ("", "", "", {"clothes", "clothes in train", "clothes in test"}),
    ],
)
def test_a_manifest_says_which_part_lacks_a_label(
    train: str, query: str, gallery: str, lacked: set[str], tmp_path: Path, registry: Registry
) -> None:
    file = tmp_path / "m.csv"
    rows = f"a.jpg,1,train,0,{train}\nb.jpg,2,query,0,{query}\nc.jpg,2,gallery,1,{gallery}\n"
    file.write_text(f"path,pid,split,camid,clothes\n{rows}")
    component = registry.get("dataset", "csv-manifest")
    found = component.lacked(component.params(), file)
    assert {word for word in found if "clothes" in word} == lacked
