"""Networks of rows on pictures: features that score as the table does, and a search that ranks as numpy does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from reidbench.cli import main
from reidbench.cli.networks.which import Which
from reidbench.data import read_image
from reidbench.errors import DataError, ReidbenchError
from reidbench.export.features import split_of
from reidbench.metrics import Reranking, rerank
from reidbench.report import Leaderboard
from reidbench.testing import run_matrix, write_market_folder

MATRIX = """
image_size: [32, 16]
seeds: [0, 1]
data: {own: {use: csv-manifest, root: own.csv}}
tasks: {t: {source: own, target: own}}
backbone: {use: resnet-tiny, width: 4}
methods:
  bot: {finetune: {use: bot, epochs: 1, identities: 4, images: 2}}
  flipped: {flip_test: true, finetune: {use: bot, epochs: 1, identities: 4, images: 2}}
  colours: {finetune: {use: colour-histogram, bins: 2}}
  both: {ensemble: [bot, colours]}
"""


class Place:
    """A manifest, a matrix over it, and a store in which the matrix has run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        data = write_market_folder(folder / "data", images=2, size=(32, 16))
        self.gallery = data / "bounding_box_test"
        self.queries = sorted((data / "query").iterdir())
        rows = [f"{name},{split}" for split in ("train", "query", "gallery") for name in self._labelled(data, split)]
        rows.append(f"{rows[-1].rpartition(',')[0]},query")  # a picture that is in the gallery as well
        (folder / "own.csv").write_text("\n".join(["path,pid,camid,split", *rows]))
        self.board: Leaderboard = run_matrix(MATRIX, folder)
        assert {result.status for result in self.board.results} == {"ok"}

    def _labelled(self, data: Path, split: str) -> list[str]:
        place = data / {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}[split]
        found = sorted(file.relative_to(self.folder).as_posix() for file in place.iterdir())
        return [f"{name},{int(Path(name).name[:4])},{int(Path(name).name[6]) - 1}" for name in found]

    def row(self, method: str, seed: int | None = 1) -> list[str]:
        """The options that name a row."""
        words = ["--file", str(self.folder / "matrix.yaml"), "--store", str(self.folder / "store")]
        return [*words, "--row", method, "--task", "t", *([] if seed is None else ["--seed", str(seed)])]

    def result(self, method: str, seed: int | None = 1) -> tuple[str, float]:
        """Key and mAP of a row of the table."""
        (found,) = (one for one in self.board.results if (one.row.method, one.row.seed) == (method, seed))
        return found.row.key or "", found.metrics["mAP"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Read only."""
    return Place(tmp_path_factory.mktemp("networks"))


def program(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program in a separate process."""
    command = [sys.executable, "-m", "reidbench", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def run(*arguments: object) -> str:
    """A command in this process; its output. Its errors are raised."""
    return CliRunner().invoke(main.app, [str(one) for one in arguments], catch_exceptions=False).output


def arrays(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as found:
        return dict(found)


def listed(text: str) -> dict[str, list[tuple[str, float]]]:
    """Parse the output of a search: names and distances of the matches in order, by query."""
    found: dict[str, list[tuple[str, float]]] = {}
    for line in text.splitlines():
        if line.startswith("query "):
            matches = found[line.removeprefix("query ")] = []
            continue
        rank, distance, name = line.removesuffix("  (the same file)").split(maxsplit=2)
        assert int(rank) == len(matches) + 1
        matches.append((name, float(distance)))
    return found


def nearest(query: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order of the gallery [G, D] for a query [D] by 1 - cosine in float64, and these distances in that order."""
    query, gallery = query.astype(np.float64), gallery.astype(np.float64)
    cosines = (gallery * query).sum(1) / np.sqrt((gallery**2).sum(1) * (query**2).sum())
    order = np.argsort(1 - cosines, kind="stable")
    return order, 1 - cosines[order]


# ---------------------------------------------------------------------- embed and export
@pytest.mark.slow
def test_a_manifest_that_is_embedded_scores_as_the_row_in_the_table(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "x.npz"
    done = program("embed", *place.row("bot"), place.folder / "own.csv", "-o", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{out}: 9 query and 8 gallery images, 28 dimensions, by finetune bot [own, seed")
    scored = json.loads(program("score", out, "--json").stdout)
    assert scored["mAP"] == pytest.approx(place.result("bot")[1], abs=1e-6)
    assert scored["warnings"] == []
    first = arrays(out)["query_names"][0]
    assert Path(str(first)).read_bytes() == place.queries[0].read_bytes()


@pytest.mark.parametrize(
    ("method", "seed", "ending"),
    [("flipped", 1, ".npz"), ("colours", None, ".npz"), ("both", 0, ".npz"), ("both", 1, ".mat")],
)
def test_so_do_rows_with_mirror_images_without_a_seed_and_of_several_networks(
    place: Place, tmp_path: Path, method: str, seed: int | None, ending: str
) -> None:
    out = tmp_path / f"x{ending}"
    told = run("embed", *place.row(method, seed), place.folder / "own.csv", "-o", out)
    assert "note: 1 query images are also in the gallery; no query is matched with its own image" in told
    assert ("by an ensemble of 2: finetune bot [own, seed" in told) == (method == "both")
    assert ("with mirrored images" in told) == (method == "flipped")
    scored = json.loads(run("score", out, "--json"))
    assert scored["mAP"] == pytest.approx(place.result(method, seed)[1], abs=1e-6)


@pytest.mark.parametrize("method", ["bot", "flipped", "both"])
def test_a_row_and_its_key_give_the_same_features(place: Place, tmp_path: Path, method: str) -> None:
    store = ["--store", place.folder / "store"]
    run("embed", place.result(method)[0], place.gallery, "-o", tmp_path / "key.npz", *store)
    run("embed", *place.row(method), place.gallery, "-o", tmp_path / "row.npz")
    one, other = arrays(tmp_path / "key.npz"), arrays(tmp_path / "row.npz")
    assert one.keys() == other.keys() == {"features", "names", "network"}
    assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("method", ["bot", "flipped", "both"])
def test_an_image_in_memory_has_the_features_of_its_file(place: Place, method: str) -> None:
    which = Which([place.folder / "store"], place.folder / "matrix.yaml", method, "t", 1, None)
    networks = which.networks(None, workers=0, flip=False)
    for query in place.queries[:2]:
        expected = networks.features(split_of([str(query)]))[0]
        assert np.array_equal(networks.of_pixels(read_image(query)), expected)


def test_export_takes_a_row(place: Place, tmp_path: Path) -> None:
    for name, words in (
        ("key", [place.result("bot")[0], "--store", place.folder / "store"]),
        ("row", place.row("bot")),
    ):
        run("export", *words, "--format", "safetensors", "-o", tmp_path / f"{name}.safetensors")
    assert (tmp_path / "key.safetensors").read_bytes() == (tmp_path / "row.safetensors").read_bytes()
    with pytest.raises(ReidbenchError, match=r"^both is an ensemble; name one of its members: "):
        run("export", *place.row("both"), "-o", tmp_path / "x.onnx")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["embed", "--row", "bot", "photos", "-o", "OUT"], r"^--row requires --file FILE, the matrix file that "),
        (["embed", "key", "-o", "OUT"], r"^no images given; name images, folders or a manifest"),
        (["embed", "ROW", "-o", "OUT", "none.csv"], r"^none\.csv: no such manifest$"),
        (["export", "key", "ROW", "-o", "OUT"], r"^both a key \(key\) and --file are given; remove one of them$"),
        (["export", "-o", "OUT"], r"^no network given; give its KEY, or --file FILE --row METHOD"),
        (["search", "key", "GALLERY"], r"^search requires a GALLERY and at least one QUERY, after the KEY"),
        (["search", "ROW", "none", "QUERY"], r"^none: no such gallery; give a folder of images, a manifest "),
        (["search", "ROW", "QUERY", "GALLERY"], r"this is an image; give the gallery \(.*\) before the queries$"),
        (["search", "ROW", "EMPTY", "QUERY"], r"this folder contains no images$"),
        (["search", "ROW", "GALLERY", "none.png"], r"^none\.png: no such file or folder$"),
        (["search", "ROW", "GALLERY", "QUERY", "-o", "EMPTY"], r"this is a folder; name a file"),
    ],
)  # fmt: skip
def test_a_slip_is_one_sentence(place: Place, tmp_path: Path, words: list[str], sentence: str) -> None:
    (tmp_path / "empty").mkdir()
    meant = {"OUT": [tmp_path / "x.npz"], "ROW": place.row("bot"), "GALLERY": [place.gallery]}
    meant |= {"QUERY": [place.queries[0]], "EMPTY": [tmp_path / "empty"]}
    with pytest.raises(ReidbenchError, match=sentence):
        run(*(one for word in words for one in meant.get(word, [word])))
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


# ---------------------------------------------------------------------- search
@pytest.mark.slow
def test_a_search_ranks_as_numpy_does(place: Place, tmp_path: Path) -> None:
    two = place.queries[:2]
    done = program("search", *place.row("bot"), place.gallery, *two, "--top", 5)
    assert done.returncode == 0, done.stderr
    run("embed", *place.row("bot"), place.gallery, "-o", tmp_path / "gallery.npz")
    run("embed", *place.row("bot"), *two, "-o", tmp_path / "two.npz")
    gallery, asked = arrays(tmp_path / "gallery.npz"), arrays(tmp_path / "two.npz")
    found = listed(done.stdout)
    assert list(found) == [str(query) for query in two]
    for query, features in zip(two, asked["features"], strict=True):
        order, distances = nearest(features, gallery["features"])
        assert [name for name, _ in found[str(query)]] == gallery["names"][order[:5]].tolist()
        np.testing.assert_allclose([value for _, value in found[str(query)]], distances[:5], atol=6e-5)


def test_a_gallery_may_be_embedded_before_or_be_that_of_a_manifest(place: Place, tmp_path: Path) -> None:
    expected = run("search", *place.row("both"), place.gallery, place.queries[0].parent)
    assert len(listed(expected)) == len(place.queries)  # a folder of queries
    for name in ("folder.npz", "folder.mat"):
        run("embed", *place.row("both"), place.gallery, "-o", tmp_path / name)
        assert run("search", *place.row("both"), tmp_path / name, place.queries[0].parent) == expected
    run("embed", *place.row("both"), place.folder / "own.csv", "-o", tmp_path / "manifest.npz")
    for gallery in (place.folder / "own.csv", tmp_path / "manifest.npz"):
        assert run("search", *place.row("both"), gallery, place.queries[0].parent) == expected


@pytest.mark.parametrize("other", [["colours", None], ["bot", 0]])
def test_features_of_another_network_are_refused(place: Place, tmp_path: Path, other: list[object]) -> None:
    """Of bot with another seed they would have the same length, and distances would mean nothing."""
    run("embed", *place.row("bot", 1), place.gallery, "-o", tmp_path / "x.npz")
    with pytest.raises(DataError, match=r"x\.npz: its features are from a different network \([0-9a-f]+\) from the"):
        run("search", *place.row(*other), tmp_path / "x.npz", place.queries[0])  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"from a different network"):
        run("search", *place.row("bot", 1), "--flip", tmp_path / "x.npz", place.queries[0])


def test_a_file_that_embed_did_not_write_is_refused(place: Place, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", features=np.ones((2, 28), np.float32), names=["a", "b"])
    with pytest.raises(DataError, match=r"x\.npz: missing network \(the file has: features, names\); write it with"):
        run("search", *place.row("bot"), tmp_path / "x.npz", place.queries[0])
    np.savez(tmp_path / "x.npz", features=np.ones((2, 28), np.float32), names=["a"], network="")
    with pytest.raises(DataError, match=r"x\.npz: features of shape \(2, 28\) .* do not match; embed"):
        run("search", *place.row("bot"), tmp_path / "x.npz", place.queries[0])


def test_a_search_may_be_re_ranked(place: Place, tmp_path: Path) -> None:
    told = run("search", *place.row("bot"), place.gallery, *place.queries, "--rerank", "zhong", "--top", 99)
    run("embed", *place.row("bot"), place.gallery, "-o", tmp_path / "gallery.npz")
    run("embed", *place.row("bot"), *place.queries, "-o", tmp_path / "queries.npz")
    gallery, asked = arrays(tmp_path / "gallery.npz"), arrays(tmp_path / "queries.npz")
    distances = rerank(asked["features"], gallery["features"], Reranking("zhong"))
    for row, matches in zip(distances, listed(told).values(), strict=True):
        assert [name for name, _ in matches] == gallery["names"][np.argsort(row, kind="stable")].tolist()
        np.testing.assert_allclose([value for _, value in matches], np.sort(row), atol=6e-5)


class Seen(HTMLParser):
    """Tags and strings of a page as a browser parses them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.slow
def test_the_page_escapes_names_and_asks_for_nothing(place: Place, tmp_path: Path) -> None:
    """The gallery has an image with a hostile name and the bytes of the query, a broken image, and a stray file."""
    gallery, query = tmp_path / "gallery", place.queries[0]
    shutil.copytree(place.gallery, gallery)
    shutil.copy(query, gallery / "<b onload=x>&amp;'\".png")
    (gallery / "broken.jpg").write_text("no picture")
    (gallery / "notes.txt").write_text("no picture")
    done = program("search", *place.row("bot"), gallery, query, "--top", 3, "-o", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    assert "note: 1 of 10 images cannot be read and are skipped: " in done.stderr
    assert f"{gallery}/broken.jpg: cannot be decoded" in done.stderr
    asked = program("search", *place.row("bot"), gallery, gallery / "broken.jpg", query, "--top", 3)
    assert (asked.returncode, "note: 1 of 2 images cannot be read and are skipped: " in asked.stderr) == (0, True)
    assert list(listed(asked.stdout)) == [str(query)]
    assert f"note: {gallery}: 1 files left out, their extension is not an image's: notes.txt" in done.stderr
    assert f"\n    1  0.0000  {gallery}/<b onload=x>&amp;'\".png  (the same file)\n" in done.stdout
    assert done.stdout.count("the same file") == 1
    page = (tmp_path / "page.html").read_text()
    seen = Seen(page)
    ours = "html head meta title style body h1 p section figure img figcaption br ol li"
    assert {tag for tag, _ in seen.tags} == set(ours.split())
    pictures = [attributes["src"] or "" for tag, attributes in seen.tags if tag == "img"]
    assert len(pictures) == 4
    assert all(one.startswith("data:image/jpeg;base64,") for one in pictures)
    assert "http:" not in page
    assert "https:" not in page
    assert any("default-src 'none'" in (attributes.get("content") or "") for _, attributes in seen.tags)
    names = [name for name, _ in listed(done.stdout)[str(query)]]
    assert [text for text in seen.texts if text in names or text == str(query)] == [str(query), *names]
    assert [attributes.get("class") for tag, attributes in seen.tags if tag == "li"] == ["same", None, None]


def test_pictures_that_are_gone_are_counted_on_the_page(place: Place, tmp_path: Path) -> None:
    shutil.copytree(place.gallery, tmp_path / "gallery")
    run("embed", *place.row("bot"), tmp_path / "gallery", "-o", tmp_path / "x.npz")
    shutil.rmtree(tmp_path / "gallery")
    run("search", *place.row("bot"), tmp_path / "x.npz", place.queries[0], "--top", 2, "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "2 images are not shown" in page
    assert sum(tag == "img" for tag, _ in Seen(page).tags) == 1


def test_a_query_that_cannot_be_read_ends_the_search(place: Place, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_text("no picture")
    with pytest.raises(DataError, match=r"broken\.jpg: cannot be decoded"):
        run("search", *place.row("bot"), place.gallery, tmp_path / "broken.jpg")
    Image.new("RGB", (16, 32), (200, 30, 30)).save(tmp_path / "fine.png")
    assert len(listed(run("search", *place.row("bot"), place.gallery, tmp_path / "fine.png"))) == 1
