"""`reidbench site` from the command line: what it reads, writes and refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from reidbench import report
from reidbench.cli import main
from reidbench.errors import ConfigError, ReidbenchError
from reidbench.registry.plugins import Registry
from reidbench.report.html.checked import HERE
from reidbench.store.artifacts import Store
from reidbench.store.manifests import CHECKED
from tests.support import forging
from tests.support.forgeries import FORGED, forgeries
from tests.support.sites import publish, read


def run(*arguments: object) -> Result:
    """A command in this process. Its errors are raised."""
    return CliRunner().invoke(main.app, [str(one) for one in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def places(market: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A matrix file that was run, its store, and a pack of it."""
    folder = tmp_path_factory.mktemp("site")
    file, store, pack = folder / "matrix.yaml", folder / "store", folder / "sent.zip"
    file.write_text(
        f"data: {{tiny: {{use: market-folder, root: {json.dumps(str(market))}}}}}\nimage_size: [32, 16]\n"
        "seeds: [0, 1, 2]\ntasks: {tiny: {source: tiny, target: tiny}}\nbackbone: {use: resnet-tiny, width: 4}\n"
        "methods: {untrained: {finetune: none}}\n"
    )
    run("run", file, "--store", store, "--executor", "inline")
    run("pack", file, "--store", store, "-o", pack)
    return file, store, pack


def tree(place: Path) -> dict[str, bytes]:
    return {file.relative_to(place).as_posix(): file.read_bytes() for file in place.rglob("*") if file.is_file()}


def test_matrix_files_and_packs_become_one_site(places: tuple[Path, Path, Path], tmp_path: Path) -> None:
    file, store, pack = places
    done = run("site", file, pack, "--store", store, "-o", tmp_path / "site", "--title", "Mine & <yours>")
    files = tree(tmp_path / "site")
    size = sum(len(data) for path, data in files.items() if path != "site.json")
    assert (
        done.stderr.splitlines()[-1]
        == f"{tmp_path / 'site' / 'index.html'}: {len(files) - 1} files, {size / 1e6:.1f} MB"
    )
    assert {
        "index.html",
        "across.html",
        "matrix/matrix.html",
        "matrix/sent.html",
        "method/untrained.html",
    } <= files.keys()
    index = files["index.html"].decode()
    assert "<h1>Mine &amp; &lt;yours&gt;</h1>" in index
    assert index.count("<tr id=") == 1  # the same results, with both matrices named
    assert "matrix/matrix.html#row-" in index
    assert "matrix/sent.html#row-" in index


def test_a_second_site_of_the_same_files_has_the_same_bytes(places: tuple[Path, Path, Path], tmp_path: Path) -> None:
    file, store, pack = places
    for name in ("one", "two"):
        run("site", pack, file, "--store", store, "-o", tmp_path / name)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    done = run("site", pack, "-o", tmp_path / "one")
    assert done.stderr.endswith(", 1 file of an older site removed\n")
    assert "matrix/matrix.html" not in tree(tmp_path / "one")


def test_nothing_is_written_where_one_file_cannot_be_read(places: tuple[Path, Path, Path], tmp_path: Path) -> None:
    file, store, pack = places
    (tmp_path / "broken.yaml").write_text("title: [")
    (tmp_path / "broken.zip").write_bytes(b"PK\3\4")
    wrong: list[tuple[list[object], type[ReidbenchError]]] = [
        ([file, tmp_path / "gone.yaml"], ConfigError),
        ([file, tmp_path / "broken.yaml"], ConfigError),
        ([pack, tmp_path / "broken.zip"], ReidbenchError),
        ([file, pack, file], ReidbenchError),
        ([file, "--metric", "nonsense"], ReidbenchError),
    ]
    for words, error in wrong:
        with pytest.raises(error):
            run("site", *words, "--store", store, "-o", tmp_path / "site")
        assert not (tmp_path / "site").exists()


def words_of(site: Path) -> set[str]:
    """Return the check status of the rows in a site's index."""
    cells = re.findall(r"<tr id=.*?</tr>", (site / "index.html").read_text(), re.DOTALL)
    return {word for cell in cells for word in (HERE, *CHECKED) if word in cell}


@pytest.mark.slow
def test_rows_of_packs_have_the_word_of_who_checked_them(places: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """A store says how far only of rows that `verify` has put there, and for the very numbers of the pack."""
    file, store, _ = places
    pack, checked = tmp_path / "full.zip", tmp_path / "checked"
    run("pack", file, "--store", store, "--features", "-o", pack)
    root = json.loads(file.read_text().partition("root: ")[2].partition("}")[0])
    run("verify", pack, "--root", f"tiny={root}", "--store", checked)
    run("site", pack, "-o", tmp_path / "site")
    assert words_of(tmp_path / "site") == {"self-reported"}
    run("site", pack, "--store", checked, "-o", tmp_path / "site")
    assert words_of(tmp_path / "site") == {"re-scored"}
    run(
        "site", pack, "--store", store, "-o", tmp_path / "site"
    )  # own runs are rows of the file, not checks of the pack
    assert words_of(tmp_path / "site") == {"self-reported"}

    def claim_more(files: forging.Files) -> None:
        for place in range(3):
            key = forging.key_of(files, "evaluate", place)
            forging.edit_manifest(files, key, lambda one: one["metrics"].update(mAP=0.99))

    forging.forge(pack, tmp_path / "forged.zip", claim_more)
    run("site", tmp_path / "forged.zip", "--store", checked, "-o", tmp_path / "site")
    assert words_of(tmp_path / "site") == {"self-reported"}


def test_a_store_beside_packs_alone_must_be_there(places: tuple[Path, Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ReidbenchError, match=r"nowhere: no such folder; with packs, --store names the store"):
        run("site", places[2], "--store", tmp_path / "nowhere", "-o", tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_folder_of_something_else_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(ReidbenchError, match="is not empty and not a site"):
        run("site", tmp_path / "gone.yaml", "-o", tmp_path / "mine")
    assert tree(tmp_path / "mine") == {"notes.txt": b"x"}


def test_a_contradiction_is_a_warning(places: tuple[Path, Path, Path], registry: Registry, tmp_path: Path) -> None:
    file, _, pack = places
    publish(read(file, registry), Store(tmp_path / "other"), {"untrained": 0.5})
    done = run("site", file, pack, "--store", tmp_path / "other", "-o", tmp_path / "site")
    assert "warning: untrained on tiny by cosine: matrix.yaml and sent.zip have different numbers" in done.stderr
    assert "Contradictions" in (tmp_path / "site" / "index.html").read_text()


def test_another_metric_ranks(places: tuple[Path, Path, Path], registry: Registry, tmp_path: Path) -> None:
    file, store, _ = places
    run("site", file, "--store", store, "--metric", "score", "-o", tmp_path / "site")
    index = (tmp_path / "site" / "index.html").read_text()
    board = report.collect(read(file, registry), Store(store), score=True)
    mean = board.summarised("untrained", "tiny", "cosine")["score"].mean
    assert "score in %" in index
    assert f"<b>{100 * mean:.1f}</b>" in index


@pytest.mark.slow
def test_packs_that_strangers_forged_make_sound_sites(places: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Forged packs with valid checksums, each next to its original."""
    file, store, pack = places
    run("pack", file, "--store", store, "--features", "-o", tmp_path / "full.zip")
    forged = [one for one in forgeries(tmp_path / "full.zip", 75) if one.expected == FORGED]
    assert len(forged) > 5
    for one in forged:
        (tmp_path / "forged.zip").write_bytes(one.data)
        run("site", pack, tmp_path / "forged.zip", "--ranked", 1, "-o", tmp_path / "site")
        assert (tmp_path / "site" / "matrix" / "forged.html").exists(), one.name
