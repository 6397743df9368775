"""Clothes, modality and tracklets of feature files: read where a rule asks for them, from every form of file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench.errors import DataError
from reidbench.scoring.featurefile import FeatureFile, read_features

NEEDS = {"clothes": "exclude=same-clothes", "modality": "cross=modality", "tracklets": "pool=mean"}
COLUMNS: dict[str, Any] = {
    "query_features": np.eye(2, 3),
    "query_pids": np.array([1, 2]),
    "query_camids": np.array([0, 1]),
    "query_clothes": np.array([4, -1]),
    "query_modality": np.array(["visible", "infrared"]),
    "query_tracklets": np.array([7, 8]),
    "gallery_features": np.eye(3),
    "gallery_pids": np.array([1, 2, 2]),
    "gallery_camids": np.array([1, 0, 0]),
    "gallery_clothes": np.array([4, 5, 6]),
    "gallery_modality": np.array(["infrared", "visible", ""]),
    "gallery_tracklets": np.array([-1, 9, 9]),
}
SIDES = {"query": slice(0, 2), "gallery": slice(2, 5)}


def joined(word: str) -> list[Any]:
    return [value for side in SIDES for value in COLUMNS[f"{side}_{word}"].tolist()]


def npz(folder: Path, columns: dict[str, Any]) -> Path:
    np.savez(folder / "f.npz", **columns)
    return folder / "f.npz"


def mat(folder: Path, columns: dict[str, Any]) -> Path:
    import scipy.io

    cells = {name: np.array(one.tolist(), dtype=object)[:, None] if one.dtype.kind == "U" else one
             for name, one in columns.items()}  # fmt: skip
    scipy.io.savemat(folder / "f.mat", cells)
    return folder / "f.mat"


def pt(folder: Path, columns: dict[str, Any]) -> Path:
    import torch

    torch.save({name: one.tolist() if one.dtype.kind == "U" else torch.tensor(one) for name, one in columns.items()},
               folder / "f.pt")  # fmt: skip
    return folder / "f.pt"


def npy_folder(folder: Path, columns: dict[str, Any]) -> Path:
    for name, one in columns.items():
        np.save(folder / f"{name}.npy", one)
    return folder


def stacked(folder: Path, columns: dict[str, Any]) -> Path:
    del columns
    words = ("pids", "camids", "clothes", "modality", "tracklets")
    one_array = {word: np.array(joined(word)) for word in words}
    features = np.concatenate([COLUMNS[f"{side}_features"] for side in SIDES])
    np.savez(folder / "s.npz", features=features, num_query=2, **one_array)
    return folder / "s.npz"


def table(folder: Path, columns: dict[str, Any]) -> Path:
    del columns
    parts = [side for side in SIDES for _ in COLUMNS[f"{side}_pids"]]
    features = np.concatenate([COLUMNS[f"{side}_features"] for side in SIDES]).T
    words = {"pid": "pids", "camid": "camids", "clothes": "clothes", "modality": "modality", "tracklet": "tracklets"}
    cells = {"part": parts, **{name: joined(word) for name, word in words.items()},
             **{f"f{number}": one.tolist() for number, one in enumerate(features)}}  # fmt: skip
    cells["clothes"] = ["" if value == -1 else value for value in cells["clothes"]]
    with (folder / "t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(cells)
        writer.writerows(zip(*cells.values(), strict=True))
    return folder / "t.csv"


def parquet(folder: Path, columns: dict[str, Any]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    with table(folder, columns).open(newline="") as file:
        rows = list(csv.DictReader(file))
    texts = {"part", "modality"}
    cells = {name: [row[name] if name in texts else float(row[name]) if row[name] else None for row in rows]
             for name in rows[0]}  # fmt: skip
    write_table(pyarrow.table(cells), folder / "t.parquet")
    return folder / "t.parquet"


def same_labels(found: FeatureFile) -> None:
    for side, more in (("query", found.query_more), ("gallery", found.gallery_more)):
        assert set(more) == set(NEEDS)
        for word, values in more.items():
            assert values.tolist() == COLUMNS[f"{side}_{word}"].tolist(), (side, word)


@pytest.mark.parametrize("write", [npz, mat, pt, npy_folder, stacked, table, parquet])
def test_every_form_of_file(write: Callable[[Path, dict[str, Any]], Path], tmp_path: Path) -> None:
    file = write(tmp_path, COLUMNS)
    same_labels(read_features(file, needs=NEEDS))
    assert read_features(file).query_more == {}


def test_a_manifest_labels_named_features(tmp_path: Path) -> None:
    names = [f"{side}/{row}.jpg" for side in SIDES for row in range(len(COLUMNS[f"{side}_pids"]))]
    features = np.concatenate([COLUMNS[f"{side}_features"] for side in SIDES])
    np.savez(tmp_path / "n.npz", features=features, names=np.array(names))
    rows = ["path,pid,split,camid,clothes,modality,tracklet"]
    values = zip(names, *map(joined, ("pids", "camids", "clothes", "modality", "tracklets")), strict=True)
    rows += [f"{name},{pid},{name.split('/')[0]},{cam},{clothes},{word},{'' if walk < 0 else walk}"
             for name, pid, cam, clothes, word, walk in values]  # fmt: skip
    (tmp_path / "m.csv").write_text("\n".join(rows))
    same_labels(read_features(tmp_path / "n.npz", manifest=tmp_path / "m.csv", needs=NEEDS))
    (tmp_path / "m.csv").write_text("\n".join(row.rpartition(",")[0] for row in rows))
    with pytest.raises(
        DataError, match=r"no tracklets; pool=mean requires a number for each image, .* as a column tracklet of"
    ):
        read_features(tmp_path / "n.npz", manifest=tmp_path / "m.csv", needs=NEEDS)


def test_texts_in_place_of_numbers_are_numbered_alike_on_both_sides(tmp_path: Path) -> None:
    columns = COLUMNS | {
        "query_clothes": np.array(["red", "-1"]),
        "gallery_clothes": np.array(["blue", "red", "green"]),
    }
    found = read_features(npz(tmp_path, columns), needs={"clothes": "exclude"})
    (red, unknown), (blue, also_red, green) = found.query_more["clothes"], found.gallery_more["clothes"]
    assert (red, unknown) == (also_red, -1)
    assert len({red, blue, green, -1}) == 4


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"query_clothes": None}, "missing query_clothes (or q_clothes"),
        ({"query_clothes": None}, "; exclude=same-clothes requires a number for each image, -1 if unknown"),
        ({"gallery_tracklets": None}, "; pool=mean requires a number for each image, -1 if it has no tracklet"),
        ({"query_clothes": [1, 2, 3]}, "query_clothes has 3 entries but query_pids has 2 entries"),
        ({"gallery_modality": ["a"]}, "gallery_modality has 1 entries but gallery_pids has 3 entries"),
        ({"query_clothes": [1.5, 2]}, "query_clothes[0] = 1.5 is not an integer"),
        ({"query_tracklets": ["a", ""]}, "query_tracklets[1] is empty; write -1 for an image without a tracklet"),
        ({"gallery_clothes": ["red", " ", "-1"]}, "gallery_clothes[1] is empty; write -1 for unknown clothes"),
        ({"gallery_clothes": ["1", "2", "NaN"]}, "gallery_clothes[2] is 'NaN', a missing value; write -1 for"),
        ({"query_clothes": [1, np.nan]}, "query_clothes[1] is 'nan', a missing value; write -1 for unknown clothes"),
        ({"query_tracklets": [1, -2]}, "query_tracklets[1] = -2 is negative; only -1 (unknown) may be"),
        ({"query_clothes": [-1, -1], "gallery_clothes": [-1, -1, -1]}, "query_clothes and gallery_clothes have no known"
         " clothes; expected a number for each image, -1 if unknown"),
        ({"query_modality": ["", ""], "gallery_modality": ["", "", " "]}, "query_modality and gallery_modality have no"
         " known modality; expected a text for each image, such as visible or infrared"),
        ({"query_modality": [1, 2]}, "query_modality must contain strings such as visible and infrared, not int64"),
        ({"query_modality": ["visible", "Visible"]}, "query_modality and gallery_modality have the modalities 'visible'"
         " and 'Visible', which differ only in case; use one spelling"),
        ({"query_modality": [["visible", "infrared"], ["a", "b"]]}, "query_modality must have one dimension, not shape"
         " (2, 2)"),
        ({"query_clothes": [[1, 2], [3, 4]]}, "query_clothes must have one dimension, not shape (2, 2)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(change: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    columns = COLUMNS | {name: np.array(value) for name, value in change.items() if value is not None}
    columns = {name: value for name, value in columns.items() if change.get(name, value) is not None}
    file = npz(tmp_path, columns)
    with pytest.raises(DataError) as caught:
        read_features(file, needs=NEEDS)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(f"{file}: ")
    assert read_features(file).query_pids.tolist() == [1, 2]  # nobody asks for them


def test_one_side_may_know_nothing(tmp_path: Path) -> None:
    """Single images are sought among tracklets."""
    columns = COLUMNS | {"query_tracklets": np.array([-1, -1])}
    found = read_features(npz(tmp_path, columns), needs=NEEDS)
    assert found.query_more["tracklets"].tolist() == [-1, -1]


def test_pickled_texts_are_refused(tmp_path: Path) -> None:
    columns = COLUMNS | {"query_modality": np.array(["visible", "infrared"], dtype=object)}
    with pytest.raises(DataError, match=r"query_modality\.npy contains pickled Python objects, which could run code"):
        read_features(npz(tmp_path, columns), needs=NEEDS)


def test_a_wrong_cell_of_a_table_is_named_with_its_line(tmp_path: Path) -> None:
    file = table(tmp_path, COLUMNS)
    file.write_text(file.read_text().replace("query,1,0,4,", "query,1,0,4.5,"))
    with pytest.raises(DataError, match=r"t\.csv:2: clothes '4\.5' is a decimal number, not a whole number"):
        read_features(file, needs=NEEDS)


def test_tables_of_pandas_with_unknown_labels(tmp_path: Path) -> None:
    """With an empty cell, pandas converts the column's whole numbers to floats, in CSV and in parquet."""
    (tmp_path / "t.csv").write_text(
        "part,pid,camid,clothes,modality,tracklet,f0,f1\n"
        "query,1,0,4.0,visible,,1.5,1\n"
        "gallery,1,1,,,12.0,2.0,0\n"
        "gallery,2,1,-1.0,infrared,100000.0,3.0,1\n"
    )
    columns: dict[str, Any] = {"part": ["query", "gallery", "gallery"], "pid": [1, 1, 2], "camid": [0, 1, 1]}
    columns |= {"f0": [1.5, 2.0, 3.0], "f1": [1, 0, 1]}
    labels = {"clothes": [4.0, None, -1.0], "modality": ["visible", None, "infrared"], "tracklet": [None, 12.0, 1e5]}
    arrow, writer = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    writer.write_table(arrow.table(columns | labels), tmp_path / "t.parquet")
    labels |= {"clothes": [4.0, np.nan, -1.0], "tracklet": [np.nan, 12.0, 1e5]}
    writer.write_table(arrow.table(columns | labels), tmp_path / "nan.parquet")
    (tmp_path / "blank.csv").write_text((tmp_path / "t.csv").read_text().replace(",visible,,", ",visible, ,"))
    for name in ("t.csv", "t.parquet", "nan.parquet", "blank.csv"):
        found = read_features(tmp_path / name, needs=NEEDS)
        assert found.query_more["clothes"].tolist() == [4]
        assert found.gallery_more["clothes"].tolist() == [-1, -1]
        assert found.query_more["tracklets"].tolist() == [-1]
        assert found.gallery_more["tracklets"].tolist() == [12, 100000]
        assert found.gallery_more["modality"].tolist() == ["", "infrared"]


def test_labels_beyond_identity_are_no_part_of_a_feature(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "part,pid,camid,clothes,tracklet,x,y\nquery,1,0,4,7,1,0\ngallery,1,1,5,8,1,0\ngallery,2,1,5,8,0,1\n"
    )
    found = read_features(tmp_path / "t.csv")
    assert found.query_features is not None
    assert found.query_features.tolist() == [[1, 0]]
    assert found.warnings == ("2 columns are used as the feature: x, y; ignored: clothes, tracklet",)
