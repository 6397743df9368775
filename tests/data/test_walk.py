"""Files that count as images, and notes on those left out."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from reidbench.data import look_through, walk_images
from reidbench.data.pictures.images import ENDINGS, FOREIGN_ENDINGS, FORMATS
from reidbench.data.walk import Present, twin_notes


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_the_endings_are_those_that_pillow_knows_for_what_is_decoded() -> None:
    known = {ending for ending, form in Image.registered_extensions().items() if form in FORMATS}
    assert known == set(ENDINGS)
    assert not set(ENDINGS) & set(FOREIGN_ENDINGS)


def test_every_ending_in_any_case(tmp_path: Path) -> None:
    names = [f"{n:02d}{ending}" for n, ending in enumerate((*ENDINGS, *map(str.upper, ENDINGS), ".JpEg"))]
    touch(tmp_path, *names, "a.heic", "b.txt", "jpg")
    assert list(walk_images(tmp_path)) == names


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b/c.GIF", "b/d.HEIC", "b/e.avif", "readme.txt", "noending")
    touch(tmp_path, ".x.jpg", ".thumbs/y.png", ".thumbs/z.txt", "b/.git/config", "._a.png", "b/Thumbs.db", ".DS_Store")
    tree = look_through(tmp_path)
    assert tree.images == ["a.png", "b/c.GIF"]
    assert sorted(tree.hidden) == [".thumbs/y.png", ".x.jpg"]
    notes = tree.notes("pool")
    assert len(notes) == 3
    assert any(n.startswith("pool: 2 files left out, images of an unsupported format") and "b/d.HEIC, b/e.avif" in n
               for n in notes)  # fmt: skip
    assert any("2 files left out, their extension is not an image's: noending, readme.txt" in n for n in notes)
    assert any(n.startswith("pool: 2 files left out, hidden images") for n in notes)


def test_a_hidden_folder_of_links_hides_nothing(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.png")
    (tmp_path / ".view").mkdir()
    (tmp_path / ".view" / "a").symlink_to(tmp_path / "a")
    tree = look_through(tmp_path)
    assert (tree.images, tree.hidden) == (["a/x.png"], [])


def test_pictures_that_a_conversion_doubled() -> None:
    (note,) = twin_notes("query", ["a.jpg", "a.png", "b.v2.jpg", "b.jpg", "c/a.jpg"])
    assert note.startswith("query: 2 images share a name except for the extension")
    assert note.endswith("a.jpg, a.png")
    assert twin_notes("query", ["a.jpg", "b.jpg"]) == []


def test_a_list_finds_files_whose_ending_was_changed() -> None:
    present = Present(["a.png", "b.JPG", "d/c.jpg", "d/c.PNG"])
    assert present.find("a.png") == "a.png"
    assert present.find("b.jpg") == "b.JPG"
    assert present.find("d/c.jpg") == "d/c.jpg"
    assert present.find("c.jpg") is None
