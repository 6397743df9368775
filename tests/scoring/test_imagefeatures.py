"""Files of features for the images of a data set: every layout gives the same rows, and nothing in one is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidbench.errors import DataError
from reidbench.scoring.imagefeatures import Block, all_blocks, read_blocks

NAMES = ("query/a.jpg", "gallery/b.jpg", "gallery/c.jpg")
VALUES = np.array([[1, 2], [3, 4], [5, 6]], np.float32)


def npz(folder: Path) -> Path:
    np.savez(folder / "f.npz", features=VALUES, names=np.array(NAMES))
    return folder / "f.npz"


def mat(folder: Path) -> Path:
    import scipy.io

    cell = np.empty((3, 1), dtype=object)
    cell[:, 0] = NAMES
    scipy.io.savemat(folder / "f.mat", {"features": VALUES, "names": cell})
    return folder / "f.mat"


def pt(folder: Path) -> Path:
    import torch

    torch.save({"features": torch.from_numpy(VALUES), "names": list(NAMES)}, folder / "f.pt")
    return folder / "f.pt"


def parquet_of_lists(folder: Path) -> Path:
    return parquet(folder, name=list(NAMES), features=VALUES.tolist())


def parquet_of_columns(folder: Path) -> Path:
    return parquet(folder, f0=VALUES[:, 0], path=list(NAMES), f1=VALUES[:, 1])


def parquet(folder: Path, **columns: Any) -> Path:
    arrow, writer = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    writer.write_table(arrow.table(columns), folder / "f.parquet")
    return folder / "f.parquet"


def npy_folder(folder: Path) -> Path:
    for name, values in zip(NAMES, VALUES, strict=True):
        file = folder / "f" / f"{name}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, values[None] if name == NAMES[0] else values)  # [1, D], as a batch of one is saved
    return folder / "f"


def folder_of_arrays(folder: Path) -> Path:
    (folder / "f").mkdir()
    np.save(folder / "f" / "features.npy", VALUES)
    np.save(folder / "f" / "names.npy", np.array(NAMES))
    return folder / "f"


FORMS = [npz, mat, pt, parquet_of_lists, parquet_of_columns, npy_folder, folder_of_arrays]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_names_and_features_of_every_form(tmp_path: Path, form: Any) -> None:
    (block,) = read_blocks(form(tmp_path))
    assert block.names is not None
    rows = dict(zip(block.names, block.features.tolist(), strict=True))
    assert rows == dict(zip(NAMES, VALUES.tolist(), strict=True))
    assert (block.part, block.pids, block.camids) == ("", None, None)


def labels(block: Block) -> tuple[Any, ...]:
    assert block.pids is not None
    assert block.camids is not None
    return block.part, block.names, block.features.tolist(), block.pids.tolist(), block.camids.tolist()


def test_the_layouts_of_score_give_query_and_gallery(tmp_path: Path) -> None:
    """The usual arrays under another program's names, one array for all, and a table; cameras may be missing."""
    np.savez(
        tmp_path / "sides.npz", qf=VALUES[:1], q_pids=[1], q_camids=[0], gf=VALUES[1:], g_pids=[2, 3], g_camids=[1, 0]
    )
    np.savez(tmp_path / "one.npz", features=VALUES, pids=[1, 2, 3], camids=[0, 1, 0], num_query=1)
    (tmp_path / "t.csv").write_text("part,pid,camid,f0,f1\nquery,1,0,1,2\ngallery,2,1,3,4\ngallery,3,0,5,6\n")
    expected = [("query", None, [[1, 2]], [1], [0]), ("gallery", None, [[3, 4], [5, 6]], [2, 3], [1, 0])]
    for name in ("sides.npz", "one.npz", "t.csv"):
        assert [labels(block) for block in read_blocks(tmp_path / name)] == expected
    (gallery,) = read_blocks(tmp_path / "sides.npz", "gallery")
    assert labels(gallery) == expected[1]


def test_one_part_with_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "q.npz", features=VALUES, pids=[1, 2, 3], camids=[0, 1, 0])
    (block,) = read_blocks(tmp_path / "q.npz", "query")
    assert labels(block) == ("query", None, VALUES.tolist(), [1, 2, 3], [0, 1, 0])


def save_objects(folder: Path) -> Path:
    np.savez(folder / "f.npz", features=VALUES, names=np.array(NAMES, dtype=object))
    return folder / "f.npz"


def save_object_in_folder(folder: Path) -> Path:
    np.save(npy_folder(folder) / "x.npy", np.array([print], dtype=object))
    return folder / "f"


def longer_vector(folder: Path) -> Path:
    np.save(npy_folder(folder) / "x.npy", np.zeros(3))
    return folder / "f"


def a_map(folder: Path) -> Path:
    np.save(npy_folder(folder) / "x.npy", np.zeros((2, 2)))
    return folder / "f"


def empty_folder(folder: Path) -> Path:
    (folder / "f").mkdir()
    return folder / "f"


def pickle(folder: Path) -> Path:
    (folder / "f.pkl").write_bytes(b"x")
    return folder / "f.pkl"


def pointer(folder: Path) -> Path:
    (folder / "f.npz").write_text("version https://git-lfs.github.com/spec/v1\n")
    return folder / "f.npz"


def distances(folder: Path) -> Path:
    np.savez(folder / "f.npz", distmat=np.zeros((1, 2)), q_pids=[1], g_pids=[1, 2])
    return folder / "f.npz"


def fewer_names(folder: Path) -> Path:
    np.savez(folder / "f.npz", features=VALUES, names=np.array(NAMES[:2]))
    return folder / "f.npz"


def parquet_without_a_name(folder: Path) -> Path:
    return parquet(folder, name=["a", None], features=[[1.0], [2.0]])


def parquet_without_features(folder: Path) -> Path:
    return parquet(folder, name=["a", "b"], score=[1.0, 2.0])


def parquet_of_numbers_as_names(folder: Path) -> Path:
    return parquet(folder, name=[1, 2], f0=[1.0, 2.0])


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        (save_objects, r"f\.npz: names\.npy contains pickled Python objects, which could run code"),
        (save_object_in_folder, r"f: x\.npy contains pickled Python objects, which could run code"),
        (longer_vector, r"f/x\.npy: has a different number of values than gallery/b\.jpg\.npy"),
        (a_map, r"f/x\.npy: must be one vector of real numbers, not float64 \(2, 2\)"),
        (empty_folder, r"f: this folder has no \.npy files; save one per image, named like the image"),
        (pickle, r"f\.pkl: not a supported feature file.*a pickle can run code"),
        (pointer, r"f\.npz: a git-lfs pointer"),
        (distances, r"f\.npz: contains distances, but a row of a matrix file requires features"),
        (fewer_names, r"f\.npz: features has 3 rows but names has 2 entries"),
        (parquet_without_a_name, r"f\.parquet: row 1: name is missing"),
        (parquet_without_features, r"f\.parquet: no column `features`, or f0, f1, \.\.\.; the file has: name, score"),
        (parquet_of_numbers_as_names, r"f\.parquet: name must contain strings"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_what_is_refused(tmp_path: Path, form: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read_blocks(form(tmp_path))


def test_query_and_gallery_of_different_networks(tmp_path: Path) -> None:
    np.savez(tmp_path / "q.npz", features=VALUES, names=np.array(NAMES))
    np.savez(tmp_path / "g.npz", features=VALUES[:, :1], names=np.array(NAMES))
    with pytest.raises(
        DataError, match=r"g\.npz: features have 1 dimensions, but 2 in .*q\.npz; query and gallery must"
    ):
        list(all_blocks({"query": tmp_path / "q.npz", "gallery": tmp_path / "g.npz"}))
