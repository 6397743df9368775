"""Labels beyond identity in CSV manifests: clothes, modality, tracklet and attributes."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.data import Dataset, Sample, read_manifest
from reidbench.errors import DataErrors

HEADER = "path,pid,split,camid,clothes,modality,tracklet,attributes"


def read(folder: Path, *rows: str, header: str = HEADER) -> Dataset:
    file = folder / "data.csv"
    file.write_text("\n".join([header, *rows, ""]))
    return read_manifest(file)


def mistakes(folder: Path, *rows: str) -> list[str]:
    """The mistakes, without the file's name."""
    with pytest.raises(DataErrors) as caught:
        read(folder, *rows)
    return [problem.removeprefix(f"{folder / 'data.csv'}:") for problem in caught.value.problems]


def test_each_column_is_read(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "a.jpg,1,query,0,2,visible,7,bag=yes;hair color=dark brown",
        "b.jpg,1,gallery,1,0,infrared,8,bag=no",
    )
    assert found.query is not None
    assert found.query.samples == (
        Sample("a.jpg", 1, 0, "", None, 2, "visible", 7, {"bag": "yes", "hair color": "dark brown"}),
    )
    assert found.gallery is not None
    assert (found.gallery.clothes, found.gallery.modality, found.gallery.tracklets) == ([0], ("infrared",), [8])
    assert found.gallery.attributes == {"bag": ("no",)}
    assert found.notes == ()


def test_a_column_may_be_there_alone_and_empty_cells_are_unknown(tmp_path: Path) -> None:
    header = "path,pid,split,clothes"
    found = read(tmp_path, "a.jpg,1,train,", "b.jpg,1,train,-1", "c.jpg,1,train,3", header=header).train
    assert found.clothes is not None
    assert found.clothes.tolist() == [-1, -1, 3]
    assert (found.modality, found.tracklets, dict(found.attributes)) == (None, None, {})
    assert read(tmp_path, "a.jpg,1,train,", "b.jpg,1,train,-1", header=header).train.clothes is None


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ("x,,,", "clothes 'x' is not a whole number: write it with the digits 0 to 9 only, like 12"),
        ("1.0,,,", "clothes '1.0' is not a whole number: write it with the digits 0 to 9 only, like 12"),
        ("-2,,,", "clothes -2 is negative: write -1 or leave the cell empty if it is unknown"),
        (f"{2**60},,,", f"clothes {2**60} is larger than 2^53"),
        (",,-3,", "tracklet -3 is negative: write -1 or leave the cell empty if it is unknown"),
        (",,T1,", "tracklet 'T1' is not a whole number: write it with the digits 0 to 9 only, like 12"),
        (",Visible,,", "modality 'Visible' is not a lower-case word: write visible, infrared or thermal"),
        (",visible ,,", "modality 'visible ' is not a lower-case word: write visible, infrared or thermal"),
        (",1,,", "modality '1' is not a lower-case word: write visible, infrared or thermal"),
        (
            ",,,bag",
            "attributes: 'bag' is not a name and a value: write name=value;name=value, such as bag=yes;hair=long",
        ),
        (",,,bag=", "attributes: 'bag=' is not a name and a value"),
        (",,,=yes", "attributes: '=yes' is not a name and a value"),
        (",,,bag=yes;", "attributes: '' is not a name and a value"),
        (",,,bag=yes; hair=long", "attributes: ' hair=long' is not a name and a value"),
        (",,,bag=a=b", "attributes: 'bag=a=b' is not a name and a value"),
        (",,,bag=yes;bag=no", "attributes: 'bag' occurs twice: give each attribute one value"),
    ],
)
def test_a_wrong_cell_gets_one_sentence(cells: str, sentence: str, tmp_path: Path) -> None:
    (told,) = mistakes(tmp_path, "a.jpg,1,train,0,1,visible,1,bag=yes", f"b.jpg,1,train,0,{cells}")
    assert told.startswith(f"3: {sentence}")


WHOLE = ": images of one tracklet show one person in one outfit, in one camera and split"
CURE = "; give others other numbers"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("b.jpg,2,query,0,1,visible,7,", "pid 2 here and 1 in line 2"),
        ("b.jpg,1,query,3,1,visible,7,", "camid 3 here and 0 in line 2"),
        ("b.jpg,1,query,,1,visible,7,", "camid -1 here and 0 in line 2"),
        ("b.jpg,1,query,0,2,visible,7,", "clothes 2 here and 1 in line 2"),
        ("b.jpg,1,query,0,,visible,7,", "clothes unknown here and 1 in line 2"),
        ("b.jpg,1,query,0,1,,7,", "modality unknown here and visible in line 2"),
        ("b.jpg,1,train,0,1,visible,7,", "split train here and query or gallery in line 2"),
    ],
)
def test_images_of_a_tracklet_agree(row: str, told: str, tmp_path: Path) -> None:
    first, other = "a.jpg,1,query,0,1,visible,7,", "g.jpg,1,gallery,1,1,visible,8,"
    assert mistakes(tmp_path, first, other, row) == [f"4: tracklet 7 has {told}{WHOLE}{CURE}"]
    assert read(tmp_path, first, other, row.replace(",7,", ",9,")).query is not None
    more = row.replace("b.jpg", "c.jpg")
    assert len(mistakes(tmp_path, first, other, row, more)) == 1  # once for each tracklet


def test_a_tracklet_of_query_and_gallery_is_whole_in_both(tmp_path: Path) -> None:
    rows = [f"{name}.jpg,1,{part},0,,,7," for part in ("query", "gallery") for name in "ab"]
    assert read(tmp_path, *rows).query is not None
    assert mistakes(tmp_path, *rows[:3]) == [
        "2: tracklet 7 has 2 images in query and 1 in gallery, and they are not the same images: put all its images "
        "into one of them, or all into both"
    ]
    assert len(mistakes(tmp_path, rows[0], rows[3])) == 1  # as many, but others


def test_images_without_a_label_among_others_are_noted(tmp_path: Path) -> None:
    notes = read(
        tmp_path,
        "a.jpg,1,query,0,1,visible,7,bag=yes",
        "b.jpg,1,gallery,1,,,,",
        "c.jpg,1,gallery,1,0,infrared,8,",
    ).notes
    assert notes == (
        "gallery: 1 of 2 images have no clothes (empty or -1), first b.jpg: no rule about clothes applies to them",
        "gallery: 1 of 2 images have no modality (empty), first b.jpg: no rule about modalities applies to them",
        "gallery: 1 of 2 images have no tracklet (empty or -1), first b.jpg: they stay single when tracklets are "
        "pooled",
        "gallery: 2 of 2 images have no attributes (empty), first b.jpg: they are unknown",
    )


def test_a_third_modality_is_noted_with_its_images(tmp_path: Path) -> None:
    rows = ["a.jpg,1,query,0,,visible,,", "b.jpg,1,gallery,1,,infrared,,", "c.jpg,1,gallery,1,,infrared,,"]
    assert read(tmp_path, *rows).notes == ()
    assert read(tmp_path, *rows, "d.jpg,1,gallery,1,,infrard,,").notes == (
        "3 modalities: infrard (1 images), infrared (2 images), visible (1 images)",
    )
