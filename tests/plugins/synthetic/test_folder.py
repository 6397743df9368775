"""Rendered data sets on disk: written once and atomically, and read like any other data set."""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidbench.errors import DataError
from reidbench.store.locks import process_start
from reidbench_synthetic import dataset as synthetic
from reidbench_synthetic.folder import ANGLES, write_folder, write_structure
from reidbench_synthetic.params import SyntheticParams
from reidbench_synthetic.render import Studio
from reidbench_synthetic.shots import list_shots

TINY = SyntheticParams(world="station", size="tiny", seed=1)
COUNT = 12 * 3 * 2 + 12 * 3 + 12 * 3 + 6 + 3


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered") / "set"
    write_folder(TINY, folder, processes=1)
    return folder


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


def test_folder_holds_the_pictures_and_describes_itself(rendered: Path) -> None:
    files = sorted(str(file.relative_to(rendered).as_posix()) for file in rendered.rglob("*.png"))
    assert files == sorted(shot.path for shot in list_shots("station", "tiny"))
    shot = list_shots("station", "tiny")[17]
    assert np.array_equal(pixels(rendered / shot.path), Studio(TINY).picture(shot))
    description = json.loads((rendered / "synthetic.json").read_text(encoding="utf-8"))
    assert description["counts"] == {"train": 72, "query": 36, "gallery": 45}
    assert (description["world"], description["size"], description["seed"]) == ("station", "tiny", 1)


def test_progress_ends_at_the_total_and_a_second_call_renders_nothing(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    for _ in range(2):
        write_folder(TINY, tmp_path / "set", processes=1, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (COUNT, COUNT)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})  # counted up once


@pytest.mark.slow
def test_all_cores_write_the_same_pictures(rendered: Path, tmp_path: Path) -> None:
    write_folder(TINY, tmp_path / "set", processes=2)
    for shot in list_shots("station", "tiny"):
        assert np.array_equal(pixels(tmp_path / "set" / shot.path), pixels(rendered / shot.path))


def test_leftovers_of_dead_processes_are_harmless_and_cleaned(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    leftover = tmp_path / f".set.part-{socket.gethostname()}-{dead.pid}-0badcafe"
    (leftover / "query").mkdir(parents=True)
    (leftover / "query" / "0001_c1s1_000000_00.png").write_bytes(b"half a pict")
    elsewhere = tmp_path / ".set.part-other-host-123-0badcafe"
    elsewhere.mkdir()
    write_folder(TINY, tmp_path / "set", processes=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [elsewhere.name, "set"]


def test_a_writer_killed_halfway_does_no_harm(tmp_path: Path) -> None:
    writer = multiprocessing.get_context("spawn").Process(target=write_folder, args=(TINY, tmp_path / "set", 1))
    writer.start()
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".set.part-*/*/*.png")) and time.monotonic() < deadline:
        time.sleep(0.005)
    writer.kill()
    writer.join()
    assert len(list(tmp_path.glob(".set.part-*"))) == 1
    assert not (tmp_path / "set").exists()
    write_folder(TINY, tmp_path / "set", processes=1)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(TINY, tmp_path / "set", processes=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import sys
from pathlib import Path
from reidbench.errors import ReidbenchError
from reidbench_synthetic.folder import write_folder
from reidbench_synthetic.params import SyntheticParams
{guard}
    try:
        write_folder(SyntheticParams(world="plaza", size="small"), Path(sys.argv[1]) / "set", processes=2)
    except ReidbenchError as error:
        print(error)
"""


def script(folder: Path, guard: str) -> subprocess.Popen[str]:
    (folder / "render.py").write_text(SCRIPT.format(guard=guard))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(folder / "render.py"), str(folder)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


@pytest.mark.slow
def test_a_script_that_starts_itself_again_gets_a_sentence(tmp_path: Path) -> None:
    """Each process imports the script again, which would start processes forever."""
    run = script(tmp_path, "if True:")
    assert "outside of if __name__ == '__main__'" in run.communicate(timeout=120)[0]
    assert not (tmp_path / "set").exists()


@pytest.mark.slow
def test_processes_end_with_the_one_that_was_killed(tmp_path: Path) -> None:
    def children(pid: int) -> list[int]:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    run = script(tmp_path, "if __name__ == '__main__':")
    while run.poll() is None and not list(tmp_path.rglob("*.png")) + list(tmp_path.rglob("*.jpg")):
        time.sleep(0.01)
    workers = children(run.pid)
    assert len(workers) >= 2  # and the tracker of resources
    run.kill()
    run.communicate(timeout=20)  # the pipe is theirs as well: it closes when the last that renders is gone
    for _ in range(500):
        left = [pid for pid in workers if process_start(pid) is not None]  # the tracker may take a moment longer
        if not left:
            break
        time.sleep(0.02)
    assert left == []


@pytest.mark.slow
def test_two_processes_at_once_both_end_well(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_folder, args=(TINY, tmp_path / "set", 1)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(list(tmp_path.rglob("*.png"))) == COUNT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"notes.txt": "mine"}, "not a synthetic data set"),
        ({"synthetic.json": "{"}, "not a synthetic data set"),
        ({"synthetic.json": '{"world": "plaza", "size": "tiny", "seed": 1, "renderer": 1}'}, "'world': 'plaza'"),
    ],
)
def test_foreign_folders_are_left_alone(content: dict[str, str], message: str, tmp_path: Path) -> None:
    for name, text in content.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message) as error:
        synthetic.open_synthetic(TINY, tmp_path, tmp_path / "cache")
    assert str(tmp_path) in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(content)


@pytest.mark.slow
def test_structure_maps_lie_where_gcl_looks_for_them(rendered: Path) -> None:
    write_structure(TINY, rendered, processes=1)
    maps = rendered / "structure"
    turned = [f"render_{angle}" for angle in ANGLES[1:]]
    assert sorted(path.name for path in (maps / "train").iterdir()) == sorted(["render", *turned])
    for side, original, count in (("train", "bounding_box_train", 72), ("test", "bounding_box_test", 45)):
        names = sorted(path.name for path in (rendered / original).iterdir())
        assert len(names) == count
        for angle in ("render", "render_45", "render_315"):
            assert sorted(path.name for path in (maps / side / angle).iterdir()) == names
    form = pixels(maps / "train" / "render_90" / names_of(rendered)[0])
    assert form.shape == (48, 24)
    assert form.std() > 0


def names_of(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "bounding_box_train").iterdir())


def test_open_reads_the_set_with_its_truth(rendered: Path, tmp_path: Path) -> None:
    opened = synthetic.open_synthetic(TINY, rendered, tmp_path)
    assert list(tmp_path.iterdir()) == []  # nothing is rendered again
    assert (len(opened.train), len(opened.query), len(opened.gallery)) == (72, 36, 45)
    assert set(opened.gallery.pids.tolist()) == set(range(13, 25)) | {0, -1}
    assert opened.notes == ()
    name = names_of(rendered)[0]
    assert np.array_equal(opened.truth.restyle(name, 0), pixels(rendered / "bounding_box_train" / name))


def test_open_renders_into_the_cache_and_notices_missing_pictures(tmp_path: Path) -> None:
    params = SyntheticParams(world="crowd", size="tiny")
    opened = synthetic.open_synthetic(params, None, tmp_path)
    assert opened.root.parent == tmp_path / "synthetic"
    assert (opened.query, opened.gallery) == (None, None)
    assert sorted(set(opened.train.pids.tolist())) == list(range(13))
    next((opened.root / "bounding_box_train").iterdir()).unlink()
    with pytest.raises(DataError, match="has 79 images instead of 80"):
        synthetic.open_synthetic(params, None, tmp_path)


def test_fingerprint_names_content_only() -> None:
    plain = synthetic.fingerprint(TINY, None)
    assert plain == synthetic.fingerprint(TINY.model_copy(update={"structure": True}), Path("elsewhere"))
    others = [TINY.model_copy(update=change) for change in ({"seed": 2}, {"world": "plaza"}, {"size": "small"})]
    assert len({plain, *(synthetic.fingerprint(params, None) for params in others)}) == 4
