"""`embed`, `search` and `export` by a network that treats images by their modality, which a user must say."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from reidbench.cli import main
from reidbench.data import MoreLabels, Split
from reidbench.export.networks import find, load
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix
from reidbench.training import Embedder, embed

MATRIX = """
image_size: [32, 16]
data: {own: {use: csv-manifest, root: own.csv}}
tasks: {t: {source: own, target: own}}
backbone: {use: resnet-tiny, width: 4}
methods:
  two: {finetune: {use: two-stream, epochs: 1, identities: 4, images: 2, lr: 0.01, warmup: 0}}
  colours: {finetune: {use: colour-histogram, bins: 2}}
"""
HEAD = "path,pid,camid,split"


class Place:
    """Pictures in two folders by modality, a manifest of them, and a store with both rows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        random = np.random.default_rng(0)
        rows = []
        for camera, word in enumerate(("visible", "infrared")):
            (folder / word).mkdir()
            for pid in range(1, 9):
                for shot in range(2):
                    name = f"{word}/{pid}_{shot}.png"
                    Image.fromarray(random.integers(0, 256, (32, 16, 3)).astype(np.uint8)).save(folder / name)
                    part = "train" if pid < 5 else "query" if camera else "gallery"
                    rows.append(f"{name},{pid},{camera},{part},{word}")
        (folder / "own.csv").write_text("\n".join([f"{HEAD},modality", *rows]) + "\n")
        (folder / "plain.csv").write_text("\n".join([HEAD, *(row.rpartition(",")[0] for row in rows)]) + "\n")
        self.board = run_matrix(MATRIX, folder)
        assert [result.status for result in self.board.results] == ["ok", "ok"]
        self.two, self.colours = (result.row.key or "" for result in self.board.results)
        registry, store = plugins.load(others=False), Store(folder / "store")
        self.network: Embedder = load(store, find(store, self.trained()), registry)

    def trained(self) -> str:
        (file,) = (
            file for file in self.folder.glob("store/objects/*/embedder.json") if "TwoStream" in file.read_text()
        )
        return file.parent.name

    def features(self, names: list[Path], word: str) -> np.ndarray:
        """Return the network's features of images of a modality."""
        unknown = np.full(len(names), -1)
        more = MoreLabels.of(modality=[word] * len(names))
        split = Split.of_columns(Path(), [str(name) for name in names], unknown, unknown, more=more)
        return embed(self.network, split, unknown)

    def pictures(self, word: str) -> list[Path]:
        return sorted((self.folder / word).iterdir())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("modality"))


def program(place: Place, *words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(main.app, [*map(str, words), "--store", str(place.folder / "store")])
    return done.exit_code, done.stdout, done.stderr


def refused(place: Place, *words: object) -> None:
    """Run a command as the program does, which ends with code 2."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["reidbench", *map(str, words), "--store", str(place.folder / "store")])
        main.main()
    assert ended.value.code == 2


@pytest.mark.parametrize("word", ["visible", "infrared"])
def test_pictures_are_embedded_as_those_of_the_modality_that_is_said(place: Place, tmp_path: Path, word: str) -> None:
    out = tmp_path / "x.npz"
    code, _, err = program(place, "embed", place.two, place.folder / "visible", "-o", out, "--modality", word)
    assert (code, err) == (0, "")
    with np.load(out) as found:
        np.testing.assert_allclose(found["features"], place.features(place.pictures("visible"), word), atol=1e-6)
    other = place.features(place.pictures("visible"), "infrared" if word == "visible" else "visible")
    assert abs(place.features(place.pictures("visible"), word) - other).max() > 1e-3


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["two", "visible"], "TwoStreamEmbedder takes each image's modality (infrared or visible), and the images "
         "have none: give it with --modality, or in the column `modality` of a manifest"),
        (["two", "plain.csv"], "and the images have none: give it with --modality"),
        (["two", "visible", "--modality", "thermal"], "16 of 16 images have another: the first is thermal"),
        (["two", "own.csv", "--modality", "visible"], "the query images have a column `modality`; remove "
         "--modality visible"),
        (["colours", "visible", "--modality", "visible"], "takes no modality; remove the option"),
    ],
)  # fmt: skip
def test_what_is_missing_or_too_much_is_a_sentence(
    place: Place, tmp_path: Path, words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key, given, *options = words
    refused(place, "embed", getattr(place, key), place.folder / given, "-o", tmp_path / "x.npz", *options)
    assert text in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x.npz").exists()


def test_a_manifest_says_the_modality_of_its_pictures(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "x.npz"
    code, _, err = program(place, "embed", place.two, place.folder / "own.csv", "-o", out)
    assert code == 0, err
    with np.load(out) as found:
        for part, word in (("query", "infrared"), ("gallery", "visible")):
            expected = place.features([Path(name) for name in found[f"{part}_names"]], word)
            np.testing.assert_allclose(found[f"{part}_features"], expected, atol=1e-6)


def distances(text: str) -> list[float]:
    return [float(line.split()[1]) for line in text.splitlines() if not line.startswith("query ")]


@pytest.mark.parametrize(
    ("gallery", "options"),
    [
        ("visible", ["--modality", "infrared", "--gallery-modality", "visible"]),
        ("own.csv", ["--modality", "infrared"]),  # whose gallery has its column
        ("x.npz", ["--modality", "infrared"]),  # which was embedded with it
    ],
)
def test_a_search_crosses_modalities(place: Place, tmp_path: Path, gallery: str, options: list[str]) -> None:
    query, shown = place.pictures("infrared")[0], place.pictures("visible")
    where = place.folder / gallery
    if gallery == "own.csv":
        shown = [name for name in shown if int(name.name[0]) >= 5]
    if gallery == "x.npz":
        where = tmp_path / gallery
        program(place, "embed", place.two, place.folder / "visible", "-o", where, "--modality", "visible")
    code, out, err = program(place, "search", place.two, where, query, "--top", 16, *options)
    assert code == 0, err
    one, others = place.features([query], "infrared")[0], place.features(shown, "visible")
    cosines = others @ one / np.linalg.norm(others, axis=1) / np.linalg.norm(one)
    assert distances(out) == pytest.approx(sorted((1 - cosines).tolist()), abs=1e-3)


def test_features_cannot_be_given_another_modality(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.npz"
    program(place, "embed", place.two, place.folder / "visible", "-o", out, "--modality", "visible")
    options = ["--modality", "infrared", "--gallery-modality", "infrared"]
    refused(place, "search", place.two, out, place.pictures("infrared")[0], *options)
    assert "its features are already computed; remove --gallery-modality" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_a_network_for_the_images_of_one_modality_is_exported(place: Place, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    out = tmp_path / "net.onnx"
    code, _, err = program(place, "export", place.trained(), "-o", out, "--modality", "infrared")
    assert code == 0, err
    images = torch.randn(5, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    session = runtime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["reidbench.modality"] == "infrared"
    (found,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        infrared, visible = (place.network.eval()(images, None, number).numpy() for number in (0, 1))
    np.testing.assert_allclose(found, infrared, atol=1e-5)
    assert abs(found - visible).max() > 1e-3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([], "TwoStreamEmbedder depends on the modality; choose one with --modality (infrared or visible)"),
        (["--modality", "thermal"], "the first is thermal"),
        (["--format", "safetensors"], "TwoStreamEmbedder has no backbone, so it has no weights to export"),
        (["--format", "safetensors", "--modality", "visible"], "--modality requires --format onnx"),
    ],
)
def test_an_export_without_its_modality_is_refused(
    place: Place, tmp_path: Path, options: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(place, "export", place.trained(), "-o", tmp_path / "net.safetensors", *options)
    assert text in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "net.safetensors").exists()
