"""The readers as components: fingerprints, strictness, missing images."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reidbench.components import load_attribute
from reidbench.errors import DataError
from reidbench.registry import plugins
from reidbench.testing import write_market_folder
from reidbench_datasets import READERS, FolderParams, ManifestParams, Market1501Params
from reidbench_datasets import manifest as manifest_reader
from reidbench_datasets import market as market_reader
from reidbench_datasets.params import MarketFolderParams


def test_strict_refuses_strays(tmp_path: Path) -> None:
    root = write_market_folder(tmp_path / "m")
    (root / "bounding_box_train" / ".hidden.png").write_bytes(b"")
    assert len(market_reader.open_folder(FolderParams(strict=True), root, tmp_path).notes) == 1  # a note is not a stray
    (root / "query" / "stray.png").write_bytes(b"")
    assert market_reader.open_folder(FolderParams(), root, tmp_path).notes
    with pytest.raises(DataError, match=r"query: 1 files left out, their names do not match: stray\.png"):
        market_reader.open_folder(FolderParams(strict=True), root, tmp_path)


def test_market1501_is_stricter_than_market_folder(tmp_path: Path) -> None:
    """The release has six cameras, frames of six digits and persons up to 1501."""
    root = write_market_folder(tmp_path / "m")
    picture = min((root / "query").iterdir()).read_bytes()
    odd = ["0005_c7s1_000000_00.png", "0005_c1s1_0_00.png", "1502_c1s1_000000_00.png", "0005_c1_f0000001.png"]
    for name in odd:
        (root / "query" / name).write_bytes(picture)
    dataset = market_reader.open_market1501(Market1501Params(check="off"), root, tmp_path)
    assert sorted(dataset.strays["query"]) == sorted(f"query/{name}" for name in odd)
    assert market_reader.open_folder(MarketFolderParams(), root, tmp_path).strays == {}


def test_fingerprint_of_a_folder_is_that_of_its_parts(tmp_path: Path) -> None:
    root = write_market_folder(tmp_path / "m")
    before = market_reader.fingerprint(FolderParams(), root)
    (root / "readme.txt").write_text("not part of the data")
    assert market_reader.fingerprint(FolderParams(), root) == before
    (root / "query" / "0001_c1s1_000009_00.png").write_bytes(b"x")
    assert market_reader.fingerprint(FolderParams(), root) != before


def test_manifest_with_images_elsewhere(tmp_path: Path) -> None:
    root = write_market_folder(tmp_path / "m")
    rows = [f"{path.relative_to(root)},{int(path.name[:4])},0,train" for path in sorted((root / "query").iterdir())]
    file = tmp_path / "data.csv"
    file.write_text("path,pid,camid,split\n" + "\n".join(rows) + "\n")
    with pytest.raises(DataError, match=r"8 of 8 images are missing in /.*, first query/0005_c1s1_000000_00\.png"):
        manifest_reader.open_manifest(ManifestParams(), file, tmp_path)
    windows = tmp_path / "windows.csv"
    windows.write_text(file.read_text().replace("query/", "query\\"))
    with pytest.raises(DataError, match=r"are missing in /.*/m, first .*; write paths with /, not"):
        manifest_reader.open_manifest(ManifestParams(images="m"), windows, tmp_path)
    dataset = manifest_reader.open_manifest(ManifestParams(images="m"), file, tmp_path)
    assert dataset.train.image(0).shape == (32, 16, 3)
    before = manifest_reader.fingerprint(ManifestParams(images="m"), file)
    picture = root / rows[0].split(",")[0]
    picture.write_bytes(picture.read_bytes() + b"\0")
    assert manifest_reader.fingerprint(ManifestParams(images="m"), file) != before


def test_every_reader_says_that_it_needs_a_root_and_what_names_its_content(registry: plugins.Registry) -> None:
    for name, *_ in READERS:
        component = registry.get("dataset", name)
        assert "root" in component.requires
        assert callable(component.load())
        assert callable(load_attribute(component.fingerprint))
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert len({name for name, *_ in READERS}) == 32
