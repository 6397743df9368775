"""CSV and parquet files with one row an image."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench.errors import DataError
from reidbench.metrics import Rules, rank
from tests.support.scores import OURS, arrays, expected, scored

HEAD = ("part", "pid", "camid")


def table(found: dict[str, Any], names: tuple[str, ...] = HEAD) -> dict[str, list[Any]]:
    """Columns by name; the feature under f0, f1, ..."""
    sides = ("query", "gallery")
    columns: dict[str, list[Any]] = {
        names[0]: [side for side in sides for _ in found[f"{side}_pids"]],
        names[1]: [pid for side in sides for pid in found[f"{side}_pids"].tolist()],
        names[2]: [camid for side in sides for camid in found[f"{side}_camids"].tolist()],
    }
    features = np.concatenate([found[f"{side}_features"] for side in sides])
    return columns | {f"f{number}": features[:, number].tolist() for number in range(features.shape[1])}


def as_csv(folder: Path, columns: dict[str, list[Any]]) -> Path:
    path = folder / "a.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return path


def as_parquet(folder: Path, columns: dict[str, Any]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), folder / "a.parquet")
    return folder / "a.parquet"


FORMS = (as_csv, as_parquet)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("names", [HEAD, ("split", "PID", "camera"), ("Part", "label", "cam_id")])
def test_columns_in_any_order(tmp_path: Path, form: Any, names: tuple[str, ...]) -> None:
    found = arrays(dim=12)
    columns = table(found, names)
    turned = dict(sorted(columns.items(), key=lambda item: item[0][::-1]))  # f10 is before f1 and f2
    result = scored(form(tmp_path, turned))
    assert result["mAP"] == pytest.approx(expected(found), abs=1e-12)
    assert result["warnings"] == []


@pytest.mark.parametrize("form", FORMS)
def test_texts_training_rows_and_no_cameras(tmp_path: Path, form: Any) -> None:
    found = arrays()
    columns = table(found)
    columns["pid"] = ["-1" if pid < 0 else f"p{pid}" for pid in columns["pid"]]
    columns["camid"] = [f"c{camid}" for camid in columns["camid"]]
    extra = {"part": "train", "pid": "p1", "camid": "c9"}
    longer = {name: [*values, extra.get(name, 0.0)] for name, values in columns.items()}
    result = scored(form(tmp_path, longer))
    assert result["mAP"] == pytest.approx(expected(found), abs=1e-12)
    people = set(found["query_pids"].tolist())
    assert 1 in people
    assert result["warnings"][0].startswith(f"1 of the {len(people)} query identities has a pid")
    del columns["camid"]
    path = form(tmp_path, columns)
    reference = rank(*(found[name] for name in OURS), Rules(camera="none")).mAP
    assert scored(path, camera=False)["mAP"] == pytest.approx(reference, abs=1e-12)
    with pytest.raises(
        DataError, match=r"no column camid; expected part .*; to score without the camera rule: --no-camera"
    ):
        scored(path)


@pytest.mark.parametrize("form", FORMS)
def test_columns_without_numbers_in_their_names_are_named(tmp_path: Path, form: Any) -> None:
    found = arrays(dim=3)
    columns = table(found)
    for name, new in (("f0", "red"), ("f1", "green"), ("f2", "blue")):
        columns[new] = columns.pop(name)
    rows = len(columns["pid"])
    named = {"": list(range(rows)), "path": ["x.jpg"] * rows, **columns}
    result = scored(form(tmp_path, named))
    assert result["mAP"] == pytest.approx(expected(found), abs=1e-12)
    (text,) = result["warnings"]
    assert text.startswith("3 columns are used as the feature: red, green, blue; ignored: ")
    assert text.endswith("path")


@pytest.mark.parametrize("stem", ["", "feature_", "feat", "emb-", "Dim"])
def test_names_of_numbered_columns(tmp_path: Path, stem: str) -> None:
    found = arrays()
    columns = {name.replace("f", stem) if name[0] == "f" else name: values for name, values in table(found).items()}
    columns["x1"] = [7.0 * number for number in range(len(columns["pid"]))]  # of a box: no part of the feature
    result = scored(as_csv(tmp_path, columns))
    assert result["mAP"] == pytest.approx(expected(found), abs=1e-12)


@pytest.mark.parametrize("kind", ["list", "large_list", "fixed"])
def test_a_column_of_lists(tmp_path: Path, kind: str) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    found = arrays()
    columns = table(found)
    features = np.stack([columns.pop(f"f{number}") for number in range(5)], axis=1)
    kinds = {
        "list": pyarrow.list_(pyarrow.float32()),
        "large_list": pyarrow.large_list(pyarrow.float64()),
        "fixed": pyarrow.list_(pyarrow.float32(), 5),
    }
    lists = pyarrow.array(features.tolist(), kinds[kind])
    assert scored(as_parquet(tmp_path, {**columns, "time": [1.0] * 72, "features": lists}))["mAP"] == expected(found)
    both = {**columns, "features": lists, "embedding": lists}
    with pytest.raises(DataError, match="features and embedding may both be the feature"):
        scored(as_parquet(tmp_path, both))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": [[1.0, 2.0]] * 71 + [[1.0]]}, "row 71: features has 1 numbers but row 0 has 2;"),
        ({"features": [[1.0, None]] * 72}, "features has a missing number"),
        ({"features": [["a", "b"]] * 72}, "features has lists of string"),
        ({"features": [[1.0, float("nan")]] * 72}, "row 0: the feature has NaN or infinity"),
        ({"features": [*([[1.0, 2.0]] * 71), None]}, "row 71: features is missing"),
        ({"features": [[1.0, 2.0]] * 72, "pid": [1, None] * 36}, "row 1: pid is missing"),
        ({"features": [[1.0, 2.0]] * 72, "pid": [1.0, 1.5] * 36}, r"row 1: pid 1\.5 is not a whole number"),
        (
            {"features": [[1.0, 2.0]] * 72, "pid": [True, False] * 36},
            "pid must contain whole numbers or strings, not bool",
        ),
        ({"f0": ["1.5"] * 72}, "f0 must contain numbers, not string; save it as float"),
        ({"f0": [1.5] * 72, "f1": [True] * 72}, "f1 must contain numbers, not bool"),
        ({"features": [b"1234"] * 72}, "no feature columns; .*; features must be a list of numbers, or one column"),
        (
            {"features": [[1.0, 2.0]] * 72, "part": ["test"] * 72},
            "row 0: unknown part 'test'; use query, gallery or train",
        ),
    ],
    ids=range(12),
)
def test_what_parquet_files_may_hold_instead(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    columns = {name: values for name, values in table(arrays()).items() if name in HEAD}
    with pytest.raises(DataError, match=rf"a\.parquet: {message}"):
        scored(as_parquet(tmp_path, {**columns, **change}))


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    path = as_parquet(tmp_path, table(arrays()))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"a\.parquet: truncated or damaged parquet file \("):
        scored(path)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"parquet requires the extra `data` .*: pip install 'reidbench\[data\]'"):
        scored(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("part,pid,camid,f0\nquery,1,0,\n", r"a\.csv:2: f0 is missing; every image needs a complete feature"),
        ("part,pid,camid,f0\nquery,1,0,1\ngallery,1,1,nan\n", r"a\.csv:3: f0 is missing"),
        ("part,pid,camid,f0\nquery,1,0,1\ngallery,1,1,inf\n", r"a\.csv:3: f0 'inf' is not a finite decimal number"),
        ("part,pid,camid,f0\nquery,1,0,1_0\n", r"a\.csv:2: f0 '1_0' is not a finite decimal number"),
        ("part,pid,camid,f0\nquery,1,0,１\n", r"a\.csv:2: f0 '１' is not a finite decimal number"),
        ("part,pid,camid,f0\nquery,,0,1\n", r"a\.csv:2: pid '' is empty"),
        ("part,pid,camid,f0\nquery,1.0,0,1\n", r"a\.csv:2: pid '1\.0' is a decimal number"),
        ("part,pid,camid,f0\nquery, 1,0,1\n", r"a\.csv:2: pid ' 1' starts or ends with a space"),
        ("part,pid,camid,f0\ntest,1,0,1\n", r"a\.csv:2: unknown part 'test'; use query, gallery or train"),
        ("part,pid,camid,f0\nquery,1,0\n", r"a\.csv:2: this line has 3 columns, the first has 4"),
        (
            "part,pid,camid,f0,f2\nquery,1,0,1,1\n",
            r"a\.csv:1: the feature columns are not numbered consecutively; see .* 0",
        ),
        ("part,pid,camid,f0,feat1\nquery,1,0,1,1\n", r"a\.csv:1: numbered feature columns with several names"),
        ("part,pid,camid,pids,f0\nquery,1,0,1,1\n", r"a\.csv:1: the columns 'pid' and 'pids' mean the same"),
        ("part;pid;camid;f0\nquery;1;0;1\n", r"a\.csv:1: columns are separated by ';'; save the file with commas"),
        ("part;pid;camid;f0\nquery;1;0;1,5\n", r"a\.csv:1: columns are separated by ';'"),
        ("a,b\nquery,1\n", r"a\.csv:1: no column part, pid or camid; .*: --no-camera"),
        ("part,pid,camid,f0\nquery,-1.0e+00,0,1\n", r"a\.csv:2: pid '-1\.0e\+00' is a decimal number"),
        ("path,pid,split,camid\nx.jpg,1,query,0\n", r"a\.csv:1: no feature columns; .*, use --manifest"),
        ("part,pid,camid,f0\n", r"a\.csv: no query and gallery rows below the header"),
        ("part,pid,camid,f0\nquery,1,0,1\n", r"a\.csv: contains no gallery images"),
        ("a\0b\n\0", r"a\.csv:1: no column part|a\.csv: not a CSV"),
    ],
    ids=range(21),
)
def test_what_csv_files_may_hold_instead(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(lines, encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        scored(tmp_path / "a.csv")
    assert str(caught.value).isprintable()


def test_tables_of_a_spreadsheet(tmp_path: Path) -> None:
    path = as_csv(tmp_path, table(arrays()))
    text = path.read_text()
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert scored(path)["mAP"] == pytest.approx(expected(arrays()), abs=1e-12)
    path.write_text(text, encoding="utf-16")
    with pytest.raises(DataError, match=r"a\.csv: not a CSV text file in UTF-8: it is UTF-16; save it as UTF-8"):
        scored(path)


def test_a_manifest_is_not_for_tables(tmp_path: Path) -> None:
    path = as_csv(tmp_path, table(arrays()))
    with pytest.raises(DataError, match="--manifest is for features with image names"):
        scored(path, manifest=path)


@pytest.mark.parametrize("form", FORMS)
def test_columns_beside_numbered_ones_are_named(tmp_path: Path, form: Any) -> None:
    found = arrays(dim=4)
    columns = table(found)
    count = len(columns["pid"])
    result = scored(form(tmp_path, columns | {"local0": [0.5] * count, "score": [0.5] * count}))
    assert result["mAP"] == pytest.approx(expected(found), abs=1e-12)
    assert result["warnings"] == ["ignored: local0, score"]


def test_pids_of_a_short_float_that_may_be_rounded(tmp_path: Path) -> None:
    columns: dict[str, Any] = table(arrays(dim=4))
    columns["pid"] = np.array(columns["pid"], np.float32)
    assert scored(as_parquet(tmp_path, columns))["warnings"] == []
    columns["pid"][3] = 20230101
    with pytest.raises(DataError, match="row 3: pid 20230100 may be rounded: float holds whole numbers exactly only"):
        scored(as_parquet(tmp_path, columns))
