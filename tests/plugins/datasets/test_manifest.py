"""csv-manifest: a file offers the labels beyond identity that any image has; tasks on other labels lack them.

The code for tables of animals writes a valid file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reidbench.errors import DataError
from reidbench.registry.plugins import Registry
from reidbench.words import MORE_LABELS
from tests.support.copies import Open, rows, touch

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


def test_a_table_of_animals_becomes_a_manifest_by_the_code_of_the_page(
    read: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns of WildlifeDatasets; names become numbers in sorted order, and the first test image is the query."""
    page = Path(__file__).parents[3] / "docs/how-to/vehicles-and-animals.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    lines = [
        ("zeb.png", "zeb", "test"),
        ("a1.png", "anna", "train"),
        ("z2.png", "zeb", "test"),
        ("a2.png", "anna", "train"),
    ]
    touch(tmp_path / "animals", [path for path, _, _ in lines])
    text = "".join(f"{path},{name},{split}\n" for path, name, split in lines)
    (tmp_path / "metadata.csv").write_text(f"path,identity,split\n{text}")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(page), "exec"), {})  # noqa: S102
    dataset = read("csv-manifest", tmp_path / "manifest.csv", images="animals")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read("csv-manifest", tmp_path / "manifest.csv", images="~/animals").root == dataset.root
    with pytest.raises(DataError, match=r"manifest\.csv: images: /.*/plants: no such folder"):
        read("csv-manifest", tmp_path / "manifest.csv", images="plants")
    assert rows(dataset.train) == [(1, -1), (1, -1)]
    assert rows(dataset.query) == rows(dataset.gallery) == [(2, -1)]
    assert dataset.faults == ()
