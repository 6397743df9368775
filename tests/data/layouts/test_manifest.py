"""CSV manifests: what they say is read, what is wrong is reported by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.data import Sample, read_manifest
from reidbench.errors import DataError, DataErrors

HEADER = "path,pid,camid,split,domain,time\n"
ROWS = "a.jpg,1,0,train,day,0.5\nb.jpg,-1,0,train,,\nc.jpg,2,0,query,,\nd.jpg,2,11,gallery,,\ne.jpg,-1,1,gallery,,\n"


def test_rows(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text(HEADER + ROWS)
    dataset = read_manifest(file)
    assert dataset.root == tmp_path
    assert dataset.train.samples == (Sample("a.jpg", 1, 0, "day", 0.5),)  # junk is not trained on
    assert dataset.gallery is not None
    assert dataset.gallery.pids.tolist() == [2, -1]
    assert dataset.gallery.camids.tolist() == [11, 1]


def test_a_pool_has_only_train_rows(tmp_path: Path) -> None:
    file = tmp_path / "pool.csv"
    file.write_text("path,pid,camid,split\nx.jpg,0,0,train\n")
    dataset = read_manifest(file)
    assert dataset.query is None
    assert dataset.train.pids.tolist() == [0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,camid,split\n", ":1: columns missing pid"),
        ("path,pid,camid,split,sex\n", ":1: columns unknown 'sex'"),
        (HEADER + "a.jpg,x,0,train,,\n", ":2: pid 'x' is not a whole number"),
        (HEADER + "a.jpg,1,0,train,,\nb.jpg,1,1.5,train,,\n", ":3: camid '1.5'"),
        (
            HEADER + "a.jpg,1_23,0,train,,\n",
            ":2: pid '1_23' is not a whole number: write it with the digits 0 to 9 only",
        ),
        (HEADER + "a.jpg, 12,0,train,,\n", "pid ' 12'"),
        (HEADER + "a.jpg,１２,0,train,,\n", "pid '１２'"),
        (HEADER + "a.jpg,1,1e3,train,,\n", "camid '1e3'"),
        (HEADER + "a.jpg,1,0,train,,1_0\n", ":2: time '1_0' is not a decimal number"),
        (HEADER + "a.jpg,1,0,train,,inf\n", "time 'inf'"),
        (HEADER + "a.jpg,1,0,train,,\n./a.jpg,1,0,train,,\n", ":3: ./a.jpg appears twice in train"),
        ("path;pid;split\n", "separates columns with ';', not with commas"),
        (HEADER + "a.jpg,1,0,val,,\n", ":2: split 'val' is not one of"),
        (HEADER + "../a.jpg,1,0,train,,\n", "must be relative and stay inside"),
        (HEADER + "/a.jpg,1,0,train,,\n", "must be relative and stay inside"),
        (HEADER + "a.jpg,-2,0,train,,\n", "negative"),
        (HEADER + "a.jpg,1,0,train,,soon\n", "time 'soon'"),
        (HEADER + "a.jpg,1,0,train,,\na.jpg,1,0,train,,\n", ":3: a.jpg appears twice in train"),
        (HEADER + "a.jpg,1,0\n", ":2: this line does not have as many columns"),
        (HEADER + "a.jpg,1,0,query,,\n", "split=query but none with split=gallery"),
        (HEADER, "no images; add one line per image"),
        (HEADER + "a.jpg,1,0,train,,\nb.jpg,1,0,query,,\n", "split=query but none with split=gallery"),
        ("", "is empty"),
        ("path, pid, split\n", ":1: columns missing pid, split; unknown ' pid', ' split'"),
        ("path, pid, split\n", "write the names in lower case, without spaces around them"),
        ("Path,PID,Split\n", "write the names in lower case"),
        (",path,pid,split\n", "it has a column without a name, such as row numbers: remove it"),
    ],
)
def test_mistakes(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_manifest(file)
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_manifest_for_tests_only(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text(HEADER + "a.jpg,1,0,query,,\nb.jpg,1,1,gallery,,\n")
    found = read_manifest(file)
    assert [len(split) for split in found.parts().values()] == [0, 1, 1]
    assert found.notes == ()


def test_binary_and_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such manifest"):
        read_manifest(tmp_path / "none.csv")
    (tmp_path / "bin.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="not a CSV text file"):
        read_manifest(tmp_path / "bin.csv")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_as_spreadsheets_write_it(end: str, mark: bytes, tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(mark + (HEADER + ROWS).replace("\n", end).encode())
    assert read_manifest(file).train.samples == (Sample("a.jpg", 1, 0, "day", 0.5),)


def test_junk_persons_from_0_and_overlap_are_noted(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text(HEADER + ROWS + "f.jpg,0,0,train,,\ng.jpg,2,1,train,,\n")
    notes = read_manifest(file).notes
    assert notes[0] == "train: 1 images left out: junk (pid -1)"
    assert notes[1].startswith("train: pid 0 (1 images) is trained on as an identity")
    assert notes[2].startswith("1 identities are in train and in the test: pid 2")
    assert read_manifest(file).faults == notes[2:]


def test_images_without_a_camera_among_others_are_noted(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    rows = ["a.jpg,1,,train", "b.jpg,2,4,train", "c.jpg,3,0,query", "d.jpg,3,-1,query", "e.jpg,3,1,gallery"]
    file.write_text("\n".join(["path,pid,camid,split", *rows, ""]))
    assert read_manifest(file).notes == (
        "train: 1 of 2 images have no camera (camid empty or -1), first a.jpg: the camera rule does not apply to them",
        "query: 1 of 2 images have no camera (camid empty or -1), first d.jpg: the camera rule does not apply to them",
    )
    file.write_text("\n".join(["path,pid,camid,split", *(row.replace(",4,", ",,") for row in rows[:2])]))
    assert read_manifest(file).notes == ()  # nobody says a word about cameras, and the protocol does


def test_all_mistakes_are_told_at_once_by_line_and_further_ones_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text(HEADER + "a.jpg,x,0,train,,\nb.jpg,1,0,train,,\n/c.jpg,2,y,val,,soon\nb.jpg,1,0,train,,\nd.jpg,3\n")
    with pytest.raises(DataErrors) as caught:
        read_manifest(file)
    assert [problem.removeprefix(f"{file}:").partition(" (")[0] for problem in caught.value.problems] == [
        "2: pid 'x' is not a whole number: write it with the digits 0 to 9 only, like 12",
        "4: split 'val' is not one of train, query, gallery",
        "4: path '/c.jpg' must be relative and stay inside the root",
        "4: camid 'y' is not a whole number: write it with the digits 0 to 9 only, like 12",
        "4: time 'soon' is not a decimal number of seconds: write it like 12.5",
        "5: b.jpg appears twice in train",
        "6: this line does not have as many columns as the first",
    ]
    file.write_bytes((HEADER + "".join(f"{n}.jpg,x,0,train,,\n" for n in range(25))).replace("\n", "\r\n").encode())
    with pytest.raises(DataErrors) as caught:
        read_manifest(file)
    assert [problem.split(":")[1] for problem in caught.value.problems[:20]] == [str(line) for line in range(2, 22)]
    assert caught.value.problems[20:] == (f"{file}: 5 more mistakes",)
