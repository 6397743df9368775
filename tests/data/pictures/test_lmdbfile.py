"""Images in an lmdb with any keys."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidbench.data import HiddenSplit, read_image
from reidbench.data.pictures import lmdbfile
from reidbench.data.pictures.lmdbfile import is_lmdb, key_to_text, text_to_key
from reidbench.errors import DataError
from reidbench_datasets import pools
from reidbench_datasets.params import CheckedParams, PoolParams

KEYS = (
    b"01_02_0003_00000004",
    b"china/beijing/7.jpg",
    b"\xff\x00\x01",
    b"../../etc/passwd",
    b"/abs",
    b"a//b",
    b"hex:00",
)


def picture(value: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 8), (value, value, value)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("key", KEYS)
def test_keys_survive_as_text_that_stays_inside(key: bytes) -> None:
    text = key_to_text(key)
    assert text_to_key(text) == key
    assert not text.startswith("/")
    assert ".." not in Path(text).parts


@pytest.mark.parametrize("subdir", [True, False])
def test_a_pool_in_an_lmdb(subdir: bool, tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    root = tmp_path / "pool.lmdb"
    with lmdb.open(str(root), subdir=subdir, map_size=1 << 22) as store, store.begin(write=True) as transaction:
        for value, key in enumerate(KEYS):
            transaction.put(key, picture(value))
        transaction.put(b"__keys__", b"\x80\x04 a pickle, never opened")
    assert is_lmdb(root)
    dataset = pools.open_folder(PoolParams(), root, tmp_path)
    assert len(dataset.train) == len(KEYS)
    assert dataset.notes == ("1 entries of the lmdb are not images and were left out: __keys__",)
    assert sorted(int(dataset.train.image(i)[0, 0, 0]) for i in range(len(KEYS))) == list(range(len(KEYS)))
    assert set(dataset.train.camids) == {-1}
    hidden = HiddenSplit.merge([dataset.train.hide(), dataset.train.hide()])  # absolute paths, below the lmdb
    assert np.unique(hidden.image(3)).size == 1
    with pytest.raises(DataError, match="no such image"):
        read_image(root / "no such key")
    before = pools.fingerprint(PoolParams(), root)
    lmdbfile._environment(root).close()  # an lmdb cannot be open twice in one process
    lmdbfile._environment.cache_clear()
    with lmdb.open(str(root), subdir=subdir, map_size=1 << 22) as store, store.begin(write=True) as transaction:
        transaction.put(KEYS[0], picture(99))
    assert pools.fingerprint(PoolParams(), root) != before


def test_luperson_as_folders(tmp_path: Path) -> None:
    for name in ("LUP/images/b/2.jpg", "LUP/images/a/10.jpg", "LUP/images/a/1.JPG", "LUP/images/a/Thumbs.db"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(picture(1))
    (tmp_path / "LUP/CFS_list.pkl").write_bytes(b"never opened")
    dataset = pools.open_luperson(CheckedParams(), tmp_path, tmp_path)
    assert dataset.train.paths == ("a/1.JPG", "a/10.jpg", "b/2.jpg")
    assert dataset.train.pids.tolist() == [0, 0, 0]
    assert dataset.query is None
    assert dataset.notes == ()  # 3 images are not 4,180,243, but that number is unverified
    assert pools.open_luperson(CheckedParams(check="strict"), tmp_path, tmp_path).notes == ()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="contains no images"):
        pools.open_folder(PoolParams(), tmp_path / "empty", tmp_path)
