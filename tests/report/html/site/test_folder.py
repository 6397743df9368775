"""A site replaces an older site, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reidbench.errors import ReidbenchError
from reidbench.report.html.site import folder

PAGES = {"index.html": b"one", "method/bot.html": b"two", "assets/page.js": b"three"}


def tree(place: Path) -> dict[str, bytes]:
    return {file.relative_to(place).as_posix(): file.read_bytes() for file in place.rglob("*") if file.is_file()}


def test_pages_that_are_no_longer_made_are_removed(tmp_path: Path) -> None:
    place = tmp_path / "new" / "site"
    assert folder.write(place, PAGES) == 0
    assert tree(place).keys() == {*PAGES, "site.json"}
    (place / "CNAME").write_text("example.org")  # of its owner
    assert folder.write(place, {"index.html": b"other"}) == 2
    assert tree(place).keys() == {"index.html", "site.json", "CNAME"}
    assert (place / "index.html").read_bytes() == b"other"
    assert not (place / "method").exists()
    assert json.loads((place / "site.json").read_text())["files"] == ["index.html"]


def test_the_same_files_give_the_same_bytes_and_are_not_written_again(tmp_path: Path) -> None:
    folder.write(tmp_path / "a", PAGES)
    folder.write(tmp_path / "b", dict(reversed(PAGES.items())))
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    before = (tmp_path / "a" / "index.html").stat().st_ino
    folder.write(tmp_path / "a", PAGES)
    assert (tmp_path / "a" / "index.html").stat().st_ino == before


def test_what_another_site_or_nobody_made_stays(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ReidbenchError, match="is not empty and not a site"):
        folder.check(tmp_path)
    with pytest.raises(ReidbenchError, match="is not a folder"):
        folder.check(tmp_path / "notes.txt")
    assert tree(tmp_path) == {"notes.txt": b"mine"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"made by": "reidbench site", "version": 2, "files": []}',
        '{"made by": "reidbench site", "version": 1, "files": ["../notes.txt"]}',
        '{"made by": "reidbench site", "version": 1, "files": ["notes.txt"]}',
        '{"made by": "reidbench site", "version": 1, "files": [7]}',
        '{"made by": "reidbench site", "version": 1}',
        "[" * 100_000,
    ],
)
def test_a_marker_that_no_site_has_is_refused(tmp_path: Path, text: str) -> None:
    """None makes a file go that no site wrote."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "site.json").write_text(text)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ReidbenchError, match=r"site\.json .*choose a new or empty folder"):
        folder.write(tmp_path / "site", PAGES)
    assert tree(tmp_path).keys() == {"site/site.json", "notes.txt"}


def test_a_file_in_the_way_is_not_replaced(tmp_path: Path) -> None:
    folder.write(tmp_path / "site", {"index.html": b"one"})
    (tmp_path / "site" / "method").mkdir()
    (tmp_path / "site" / "method" / "bot.html").write_text("mine")
    with pytest.raises(ReidbenchError, match=r"bot\.html exists and is not part of this site"):
        folder.write(tmp_path / "site", PAGES)
    assert (tmp_path / "site" / "method" / "bot.html").read_text() == "mine"
    assert (tmp_path / "site" / "index.html").read_bytes() == b"one"


def test_a_site_that_was_interrupted_can_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = folder.write_whole

    def failing(file: Path, data: bytes) -> None:
        if file.name == "bot.html":
            raise OSError(28, "No space left on device", str(file))
        whole(file, data)

    monkeypatch.setattr(folder, "write_whole", failing)
    with pytest.raises(ReidbenchError, match=r"bot\.html: cannot be written: No space left on device"):
        folder.write(tmp_path / "site", PAGES)
    monkeypatch.undo()
    folder.write(tmp_path / "site", PAGES)
    assert tree(tmp_path / "site").keys() == {*PAGES, "site.json"}
