"""csv-manifest: a file has the labels beyond identity that some image has, and a task on another lacks them."""

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
    assert component.lacked(params, file) == MORE_LABELS - known
