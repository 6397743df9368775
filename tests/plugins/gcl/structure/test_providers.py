"""GCL's structure: maps on disk, the renderer, and providers without a body model."""

from __future__ import annotations

import importlib
import json
import math
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reidbench import PrepareContext
from reidbench.data import Split, read_market_folder
from reidbench.data.hidden import hidden_order
from reidbench.data.split import BoundTruth
from reidbench.errors import DataError
from reidbench.rendering.raster import rasterise
from reidbench.rendering.sheets import MARGIN
from reidbench.testing import write_market_folder
from reidbench_gcl.structure import meshes, providers, renderer, structure_maps
from reidbench_gcl.structure.angles import ANGLES
from reidbench_gcl.structure.params import MeshParams, ReleaseParams, SyntheticStructureParams
from reidbench_synthetic.dataset import open_synthetic
from reidbench_synthetic.params import SyntheticParams
from reidbench_synthetic.persons.pose import skeleton
from reidbench_synthetic.pictures.sighting import Sighting
from reidbench_synthetic.render import Studio
from reidbench_synthetic.shots import list_shots
from tests.support.contexts import make_context

COUNT, SIZE = 16, (32, 16)
EIGHT = (0, *ANGLES)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """16 images of 32x16: 4 identities, 2 cameras, 2 images."""
    return read_market_folder(write_market_folder(tmp_path_factory.mktemp("gcl") / "tiny"), name="tiny").train


def context(split: Split, out: Path, params: Any, *, truth: Any = None, size: tuple[int, int] = SIZE) -> PrepareContext:
    hidden = split.hide()
    bound = BoundTruth(truth, hidden) if truth is not None else None
    return make_context(PrepareContext, out, params, image_size=size, split=hidden, truth=bound)[0]


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Eight corners and twelve triangles, counter-clockwise seen from outside."""
    corners = np.array([[(low, high)[(n >> axis) & 1][axis] for axis in range(3)] for n in range(8)])
    quads = [(0, 4, 6, 2), (1, 3, 7, 5), (0, 1, 5, 4), (2, 6, 7, 3), (0, 2, 3, 1), (4, 5, 7, 6)]
    faces = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
    return corners, np.array(faces)


def figure(arm: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    """Return a person of boxes, facing +z: trunk, head, nose, and one arm of length `arm` to +x."""
    parts = [
        box((-0.15, -0.9, -0.1), (0.15, 0.6, 0.1)),
        box((-0.1, 0.6, -0.1), (0.1, 0.9, 0.1)),
        box((-0.03, 0.7, 0.1), (0.03, 0.76, 0.25)),
        box((0.15, 0.4, -0.05), (0.15 + arm, 0.5, 0.05)),
    ]
    firsts = np.cumsum([0, *(len(corners) for corners, _ in parts[:-1])])
    faces = [faces + first for (_, faces), first in zip(parts, firsts, strict=True)]
    return np.concatenate([corners for corners, _ in parts]), np.concatenate(faces)


def views_of(vertices: np.ndarray, faces: np.ndarray, size: tuple[int, int] = (64, 32)) -> np.ndarray:
    return renderer.render_turned(vertices, faces, renderer.Camera.fit(vertices, size), size, ANGLES)


# ---------------------------------------------------------------------- the renderer
@pytest.mark.parametrize(("tilt", "grey"), [(0, 195), (60, 157), (180, 195)])
def test_grey_is_that_of_a_light_at_the_camera(tilt: float, grey: int) -> None:
    """255 * .85 * (.55 + .35 n_z): 195.1 facing the viewer, 157.1 tilted by 60 degrees; a back is lit like a front."""
    square = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], dtype=float)
    c, s = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    tilted = square @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]).T
    camera = renderer.Camera((4, 4), (8, 16))
    picture = renderer.render(tilted, np.array([[0, 1, 2], [0, 2, 3]]), camera, SIZE)
    assert np.unique(picture).tolist() == [grey, 255]
    assert picture[16, 8] == grey


def test_background_is_exactly_one_and_body_is_less() -> None:
    """The body covers exactly the pixels with one of four samples inside it."""
    vertices, faces = figure()
    camera = renderer.Camera.fit(vertices, (64, 32))
    for angle, picture in zip(EIGHT, views_of(vertices, faces), strict=True):
        tensor = structure_maps.to_tensor(picture[None])
        assert tensor.shape == (1, 1, 64, 32)
        assert tensor.max() == 1.0
        body = renderer.turned_body(vertices, angle)
        points = np.stack(
            [camera.scale[0] * body[:, 0] + camera.origin[0], camera.origin[1] - camera.scale[1] * body[:, 1]], 1
        )
        samples = np.zeros(128 * 64, dtype=bool)
        samples[rasterise(2 * points, body[:, 2], body, faces, (128, 64), "scanline").pixels] = True
        covered = samples.reshape(64, 2, 32, 2).any((1, 3))
        assert np.array_equal(tensor[0, 0].numpy() < 1, covered)
        assert 0.1 < covered.mean() < 0.5
    speck = np.array([[4.1, -4.1, 0], [4.45, -4.1, 0], [4.1, -4.45, 0]])  # around the sample at (4.25, 4.25) alone
    picture = renderer.render(speck, np.array([[0, 1, 2]]), renderer.Camera((1, 1), (0, 0)), (8, 8))
    assert np.argwhere(picture < 255).tolist() == [[4, 4]]
    assert picture[4, 4] == round(255 * (3 + 0.765) / 4)


def test_rotation_really_rotates() -> None:
    """Every angle differs by more than .01, 360 is 0 bit for bit, and from behind the outline is mirrored."""
    vertices, faces = figure()
    views = views_of(vertices, faces)
    for view in views[1:]:
        assert np.abs(view / 255 - views[0] / 255).mean() > 0.01
    camera = renderer.Camera.fit(vertices, (64, 32))
    whole = renderer.render_turned(vertices, faces, camera, (64, 32), (360, 720, -90))
    assert np.array_equal(whole[0], whole[1])
    assert np.array_equal(whole[0], whole[2])
    assert np.array_equal(whole[3], views[EIGHT.index(270)])
    small = renderer.Camera.fit(vertices, (64, 32), 0.7)  # so that the arm stays inside on the other side too
    area = (renderer.render_turned(vertices, faces, small, (64, 32), ANGLES) < 255).sum((1, 2))
    assert area[EIGHT.index(180)] == pytest.approx(area[0], rel=0.05)
    # The vertical axis goes through the mean: placed there, the view from behind is the mirror image of the front.
    middle = vertices - vertices.mean(0)
    front, back = (
        renderer.render_turned(middle, faces, renderer.Camera((19.7, 19.7), (16, 32)), (64, 32), (180,)) < 255
    )  # fmt: skip
    assert (front ^ back[:, ::-1]).sum() <= 0.02 * front.sum()


def test_body_turns_about_its_middle_and_nothing_else_moves() -> None:
    """Heights, the mean and distances from the vertical axis through it stay; rows of the image do too."""
    vertices, faces = figure()
    moved = vertices + np.array([3, 1, -2])
    turned = renderer.turned_body(moved, 77)
    assert np.allclose(turned.mean(0), moved.mean(0))
    assert np.array_equal(turned[:, 1], renderer.turned_body(moved, 0)[:, 1])
    radius = [np.linalg.norm((body - moved.mean(0))[:, [0, 2]], axis=1) for body in (moved, turned)]
    assert np.allclose(*radius)
    rows = [np.flatnonzero((view < 255).any(1))[[0, -1]].tolist() for view in views_of(vertices, faces)]
    assert all(ends == rows[0] for ends in rows)


def test_a_positive_angle_turns_the_front_to_the_right() -> None:
    """The nose of a body that faces the viewer points right at 90 and left at 270; the arm at +x is behind at 90."""
    vertices, faces = figure(arm=0.0)
    views = views_of(vertices, faces, (128, 64))
    head = slice(6, 26)  # rows of the nose
    for angle, side in ((90, 1), (270, -1)):
        columns = np.flatnonzero((views[EIGHT.index(angle), head] < 255).any(0))
        trunk = np.flatnonzero((views[EIGHT.index(angle), 60:] < 255).any(0))
        reach = {1: columns[-1] - trunk[-1], -1: trunk[0] - columns[0]}
        assert reach[side] > 5
        assert reach[-side] <= 1
    assert renderer.turned(np.array([[1.0, 0, 0]]), 90)[0] == pytest.approx([0, 0, -1])  # +z is to the viewer


def test_fit_fills_the_picture() -> None:
    """Height 2 and width .5 at half of 64 rows: 16 pixels a unit, centred; a squeezed crop keeps the body's form."""
    vertices, faces = box((-0.25, 4, 0), (0.25, 6, 1))
    camera = renderer.Camera.fit(vertices, (64, 32), 0.5)
    body = np.argwhere(renderer.render(vertices, faces, camera, (64, 32)) < 255)
    assert (body.min(0).tolist(), body.max(0).tolist()) == ([16, 12], [47, 19])
    # A crop of 64x64, squeezed to 64x32: half as wide.
    camera = renderer.Camera.fit(vertices, (64, 32), 0.5, (64, 64))
    body = np.argwhere(renderer.render(vertices, faces, camera, (64, 32)) < 255)
    assert (body.min(0).tolist(), body.max(0).tolist()) == ([16, 14], [47, 17])
    wide = renderer.Camera.fit(vertices * [8, 1, 1], (64, 32), 1.0)
    assert wide.scale == (8, 8)  # 4 units in 32 columns
    with pytest.raises(ValueError, match="span no area"):
        renderer.Camera.fit(np.zeros((3, 3)), SIZE)


def test_weak_perspective_is_hmrs() -> None:
    """((s (x + tx) + 1) / 2) * 224 in a frame whose y points down; other crops lie in the middle of their square."""
    x, y_down = 0.3, -0.7
    s, tx, ty = 0.9, 0.1, 0.25
    wanted = [(s * (x + tx) + 1) / 2 * 224, (s * (y_down + ty) + 1) / 2 * 224]
    for size, crop, offset, stretch in (
        ((224, 224), None, (0, 0), 1.0),
        ((224, 112), None, (-56, 0), 1.0),
        ((448, 224), (224, 112), (-56, 0), 2.0),
    ):
        camera = renderer.Camera.weak_perspective((s, tx, ty), size, crop)
        column = camera.scale[0] * x + camera.origin[0]
        row = camera.origin[1] - camera.scale[1] * -y_down
        assert column == pytest.approx((wanted[0] + offset[0]) * stretch)
        assert row == pytest.approx((wanted[1] + offset[1]) * stretch)


def test_frames_are_turns() -> None:
    """Each `up` keeps handedness, puts up upwards and the front to the viewer."""
    up = {"y": (0, 1, 0), "-y": (0, -1, 0), "z": (0, 0, 1)}
    front = {"y": (0, 0, 1), "-y": (0, 0, -1), "z": (0, -1, 0)}
    for name in up:
        seen = renderer.in_view(np.array([up[name], front[name], (1, 0, 0)], dtype=float), name)
        assert seen.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
        assert np.linalg.det(renderer.in_view(np.eye(3), name)) == pytest.approx(1)


# ---------------------------------------------------------------------- the truth
@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """72 rendered pictures of 48x24: 12 persons, 3 cameras, 2 images."""
    return open_synthetic(SyntheticParams(world="station", size="tiny"), None, tmp_path_factory.mktemp("cache"))


def test_synthetic_structure_is_the_truths(station: Any, tmp_path: Path) -> None:
    """Each image has its own person, at each angle; white stays white at another size."""
    few = station.train.subset(range(5))
    ctx = context(
        few, tmp_path, SyntheticStructureParams(angles=(90, 180), sheet=3), truth=station.truth, size=(48, 24)
    )
    providers.synthetic_structure(ctx)
    found = structure_maps.StructureMaps.load(tmp_path, 5)
    assert (found.provider, found.angles, found.missing) == ("synthetic-structure", (90, 180), ())
    assert isinstance(found.maps, np.memmap)
    names = [Path(few.paths[place]).name for place in hidden_order(5)]
    for index, name in enumerate(names):
        for column, yaw in enumerate((0, math.pi / 2, math.pi)):
            assert np.array_equal(found.maps[index, column], station.truth.structure(name, yaw))
    with Image.open(
        tmp_path / structure_maps.SHEET
    ) as sheet:  # 3 persons; image, seen and two angles, at three times the size
        assert sheet.size == (4 * 24 * 3, 3 * 48 * 3 + MARGIN)
    large = context(
        few, tmp_path / "large", SyntheticStructureParams(angles=(180,)), truth=station.truth, size=(64, 32)
    )
    providers.synthetic_structure(large)
    maps = structure_maps.StructureMaps.load(tmp_path / "large", 5).maps
    tensor = structure_maps.to_tensor(maps[:, 0])
    assert tensor.shape == (5, 1, 64, 32)
    assert tensor.max() == 1.0
    assert 0.1 < (tensor < 1).float().mean() < 0.6


def test_pictures_of_nobody_have_no_structure(tmp_path: Path) -> None:
    """A pool has images without persons: listed, an error by default, white and listed within the tolerance."""
    pool = open_synthetic(SyntheticParams(world="crowd", size="tiny"), None, tmp_path / "cache")
    nobody = [not pool.truth.relevance(Path(path).name) for path in pool.train.paths]
    chosen = np.concatenate([np.flatnonzero(nobody)[:2], np.flatnonzero(np.logical_not(nobody))[:6]])
    few = pool.train.subset(chosen)
    ctx = context(few, tmp_path / "out", SyntheticStructureParams(angles=(180,)), truth=pool.truth, size=(48, 24))
    absent = [index for index in range(8) if not ctx.truth.relevance(index)]
    with pytest.raises(DataError, match=f"2 of 8 images have no structure .{absent[0]:07d}, {absent[1]:07d}.$"):
        providers.synthetic_structure(ctx)
    params = SyntheticStructureParams(angles=(180,), tolerance=0.25)
    providers.synthetic_structure(context(few, tmp_path / "out", params, truth=pool.truth, size=(48, 24)))
    found = structure_maps.StructureMaps.load(tmp_path / "out", 8)
    assert list(found.missing) == absent
    white = (found.maps == 255).all((1, 2, 3))
    assert np.flatnonzero(white).tolist() == absent
    assert json.loads((tmp_path / "out" / structure_maps.DESCRIPTION).read_text())["missing"] == [
        f"{i:07d}" for i in absent
    ]
    with pytest.raises(DataError, match="these data have no structure of their persons"):
        providers.synthetic_structure(context(few, tmp_path / "none", SyntheticStructureParams()))


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two outlines [H, W], each brought to its own box: position and size do not count."""
    masks = []
    for picture in (first, second):
        rows, columns = (np.flatnonzero((picture < 250).any(axis)) for axis in (1, 0))
        cut = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] < 250
        masks.append(np.asarray(Image.fromarray(cut).resize((40, 100))))
    return float((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())


def test_our_angles_turn_like_the_truths(station: Any) -> None:
    """The renderer's own bodies, rendered here at its yaw, have the outlines of its structure at the same turns."""
    params = SyntheticParams(world="station", size="tiny")
    studio = Studio(params)
    shots = [
        shot
        for shot in list_shots(params.world, params.size)
        if shot.name in {Path(p).name for p in station.train.paths}
    ]
    same, mirrored = [], []
    for shot in shots[:6]:
        person, mesh = studio.person(shot.person)
        sighting: Sighting = studio.sighting(shot)
        body = renderer.turned(mesh.posed(skeleton(person, sighting.pose))[0], math.degrees(sighting.yaw))
        views = views_of(body, mesh.faces, (192, 96))
        for angle, view in zip(EIGHT, views, strict=True):
            truth = station.truth.structure(shot.name, math.radians(angle))
            same.append(overlap(view, np.asarray(Image.fromarray(truth).resize((96, 192)))))
            if angle % 180:
                other = station.truth.structure(shot.name, math.radians(-angle))
                mirrored.append(overlap(view, np.asarray(Image.fromarray(other).resize((96, 192)))))
    # Measured .80 and .57; the camera that looks down and 48 rows of pixels leave no 1.
    assert np.mean(same) > 0.75
    assert np.mean(same) > np.mean(mirrored) + 0.15


# ---------------------------------------------------------------------- the authors' release
def release(folder: Path, split: Split, angles: tuple[int, ...] = ANGLES, *, folders: bool = False) -> Path:
    """Write a released folder: every image is one grey that encodes image and angle."""
    for number, path in enumerate(split.paths):
        for turn, name in enumerate(("render", *(f"render_{angle}" for angle in angles))):
            file = folder / "train" / name / (Path(path).name[:4] if folders else "") / Path(path).name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((64, 48, 3), 10 * number + turn, dtype=np.uint8)).save(file)
    return folder


@pytest.mark.parametrize("folders", [False, True])
def test_a_release_is_joined_by_file_name(split: Split, tmp_path: Path, folders: bool) -> None:
    """The layout of released maps: <part>/render and render_45, ..., flat or in identity folders, any size."""
    folder = release(tmp_path / "market", split, folders=folders)
    layout: Any = "identity-folders" if folders else "flat"
    ctx = context(split, tmp_path / "out", ReleaseParams(folder=folder, layout=layout))
    providers.gcl_release(ctx)
    found = structure_maps.StructureMaps.load(tmp_path / "out", COUNT)
    assert (found.provider, found.angles, found.maps.shape) == ("gcl-release", ANGLES, (COUNT, 8, *SIZE))
    greys = 10 * hidden_order(COUNT)[:, None] + np.arange(8)
    assert (found.maps == greys[:, :, None, None]).all()


def test_some_angles_of_a_release(split: Split, tmp_path: Path) -> None:
    """Only the files of the requested angles must exist, in the requested order."""
    folder = release(tmp_path / "market", split)
    shutil.rmtree(folder / "train" / "render_315")
    providers.gcl_release(context(split, tmp_path / "out", ReleaseParams(folder=folder, angles=(270, 45))))
    found = structure_maps.StructureMaps.load(tmp_path / "out", COUNT)
    assert (found.maps[:, :, 0, 0] - 10 * hidden_order(COUNT)[:, None] == [0, 6, 1]).all()
    assert (found.column(270), found.column(405), found.column(360)) == (1, 2, 0)
    with pytest.raises(DataError, match=r"has angles \[270, 45\], not 90"):
        found.column(90)
    with pytest.raises(DataError, match=r"16 of 16 .* missing files: render_315 16$"):
        providers.gcl_release(context(split, tmp_path / "out", ReleaseParams(folder=folder)))


def test_odd_members_missing_are_counted_by_image(split: Split, tmp_path: Path) -> None:
    """One angle of one image, two of another: two images of 16 without structure, named by opaque ids alone."""
    folder = release(tmp_path / "market", split)
    for place, name in ((3, "render"), (5, "render_90"), (5, "render_225")):
        (folder / "train" / name / Path(split.paths[place]).name).unlink()
    absent = sorted(np.flatnonzero(np.isin(hidden_order(COUNT), (3, 5))).tolist())
    params = ReleaseParams(folder=folder, tolerance=0.1)
    with pytest.raises(DataError) as error:
        providers.gcl_release(context(split, tmp_path / "out", params))
    assert str(error.value) == (
        f"gcl-release: 2 of 16 images have no structure ({absent[0]:07d}, {absent[1]:07d}), and tolerance 0.1 allows 1"
        "; missing files: render 1, render_90 1, render_225 1"
    )
    providers.gcl_release(context(split, tmp_path / "out", ReleaseParams(folder=folder, tolerance=0.125)))
    found = structure_maps.StructureMaps.load(tmp_path / "out", COUNT)
    assert list(found.missing) == absent
    assert (found.maps[absent] == 255).all()
    assert (found.maps[[i for i in range(COUNT) if i not in absent]] < 255).all()


def test_a_folder_that_is_no_release(split: Split, tmp_path: Path) -> None:
    """Try the parent folder, a sibling folder, and a file that is not an image."""
    folder = release(tmp_path / "meshes" / "market", split)
    with pytest.raises(DataError, match="train/render is missing; give the released folder of one data set"):
        providers.gcl_release(context(split, tmp_path / "out", ReleaseParams(folder=folder.parent)))
    with pytest.raises(DataError, match="test/render is missing"):
        providers.gcl_release(context(split, tmp_path / "out", ReleaseParams(folder=folder, part="test")))
    broken = folder / "train" / "render_45" / Path(split.paths[0]).name
    broken.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"render_45.*cannot be decoded"):
        providers.gcl_release(context(split, tmp_path / "out", ReleaseParams(folder=folder)))


# ---------------------------------------------------------------------- a user's meshes
def write_npz(file: Path, vertices: np.ndarray, faces: np.ndarray, **more: Any) -> None:
    np.savez(file, v=vertices, f=faces, **more)


def write_obj(file: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
    file.write_text("\n".join([*lines, *(f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist())]) + "\n")


def write_ply(file: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    head = ["ply", "format ascii 1.0", f"element vertex {len(vertices)}"]
    head += [f"property double {axis}" for axis in "xyz"]
    head += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    rows = [" ".join(map(repr, row)) for row in vertices.tolist()]
    file.write_text("\n".join([*head, *rows, *(f"3 {a} {b} {c}" for a, b, c in faces.tolist())]) + "\n")


def write_glb(file: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    file.write_bytes(importlib.import_module("trimesh").Trimesh(vertices, faces, process=False).export(file_type="glb"))


def folder_of_bodies(folder: Path, split: Split, write: Any = write_npz, suffix: str = ".npz") -> Path:
    """Write one body per image; the length of its arm encodes the image."""
    folder.mkdir(parents=True)
    for number, path in enumerate(split.paths):
        vertices, faces = figure(arm=number / 32)
        write(folder / f"{Path(path).stem}{suffix}", vertices, faces)
    return folder


def test_meshes_are_joined_by_stem_and_rendered(split: Split, tmp_path: Path) -> None:
    """Every image has the views of its body, as the renderer makes them."""
    folder = folder_of_bodies(tmp_path / "bodies", split)
    ctx = context(split, tmp_path / "out", MeshParams(folder=folder))
    providers.mesh(ctx)
    found = structure_maps.StructureMaps.load(tmp_path / "out", COUNT)
    for index, number in enumerate(hidden_order(COUNT).tolist()):
        assert np.array_equal(found.maps[index], views_of(*figure(arm=number / 32), size=SIZE))
    assert len(np.unique(found.maps.reshape(COUNT, -1), axis=0)) == COUNT


@pytest.mark.parametrize(("suffix", "write"), [(".obj", write_obj), (".ply", write_ply), (".glb", write_glb)])
def test_a_body_is_the_same_from_every_format(split: Split, tmp_path: Path, suffix: str, write: Any) -> None:
    """The file may be in a subfolder; .glb holds single precision."""
    pytest.importorskip("trimesh")
    few = split.subset(range(3))
    made = {}
    for name, ending, writer in (("npz", ".npz", write_npz), ("other", suffix, write)):
        folder = folder_of_bodies(tmp_path / name / "deep", few, writer, ending).parent
        providers.mesh(context(few, tmp_path / f"{name}_out", MeshParams(folder=folder)))
        made[name] = structure_maps.StructureMaps.load(tmp_path / f"{name}_out", 3).maps
    difference = np.abs(made["npz"].astype(int) - made["other"])
    if suffix == ".glb":
        assert (difference > 2).mean() < 0.01
    else:
        assert difference.max() == 0


def test_a_given_camera_places_the_body(split: Split, tmp_path: Path) -> None:
    """s = 1, 0, 0: one unit is half the image's height, with the origin at its centre; y down and z up are turned."""
    one = split.subset([0])
    stem = Path(one.paths[0]).stem
    vertices, faces = box((-0.25, 0, 0), (0.25, 0.5, 1))
    wanted = np.full(SIZE, 255, dtype=np.uint8)
    wanted[8:16, 4:12] = 0
    axes = {
        "y": vertices,
        "-y": vertices * [1, -1, -1],
        "z": np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], 1),
    }
    for up, body in axes.items():
        folder = tmp_path / f"bodies{up}"
        folder.mkdir()
        write_npz(folder / f"{stem}.npz", body, faces, cam=np.array([1.0, 0, 0]))
        params = MeshParams(folder=folder, camera="given", up=up, angles=(90,))  # type: ignore[arg-type]
        providers.mesh(context(one, tmp_path / up, params))
        assert np.array_equal(structure_maps.StructureMaps.load(tmp_path / up, 1).maps[0, 0] < 255, wanted < 255)


def bodies_error(split: Split, place: Path, **params: Any) -> str:
    with pytest.raises(DataError) as error:
        providers.mesh(context(split, place / "out", MeshParams(folder=place, **params)))
    return str(error.value)


def test_meshes_missing_or_doubled(split: Split, tmp_path: Path) -> None:
    """Missing files are counted before rendering; files of other images are ignored, duplicates are errors."""
    folder = folder_of_bodies(tmp_path / "bodies", split)
    stems = [Path(path).stem for path in split.paths]
    (folder / "somebody_else.npz").write_bytes(b"never read")
    for place in range(12):
        (folder / f"{stems[place]}.npz").unlink()
    (folder / f"{stems[13]}.npz").write_bytes(b"damaged")  # would fail, were it rendered first
    message = bodies_error(split, folder, tolerance=0.5)
    assert message.startswith("mesh: 12 of 16 images have no structure (0")
    assert message.count("0000") >= structure_maps.LISTED
    assert "..." in message
    assert "tolerance 0.5 allows 8" in message
    write_obj(folder / f"{stems[14]}.obj", *figure())
    assert "belongs to the same image: remove one of them" in bodies_error(split, folder)


HOSTILE: dict[str, Any] = {
    "vertices not finite": ({"v": np.array([[0, 0, 0], [1, 0, 0], [0, np.nan, 0.0]])}, "v is not an array of finite"),
    "vertices far away": ({"v": np.array([[0, 0, 0], [1, 0, 0], [0, 1e9, 0.0]])}, "not finite or exceed 1e\\+06"),
    "face out of range": ({"f": np.array([[0, 1, 3]])}, "a face has vertex 3, but there are 3 vertices"),
    "face below 0": ({"f": np.array([[0, 1, -1]])}, "a face has vertex -1, but there are 3 vertices"),
    "faces not whole": ({"f": np.array([[0, 1, 2.0]])}, "not whole numbers"),
    "quads": ({"f": np.array([[0, 1, 2, 0]])}, "not whole numbers \\[F, 3\\]"),
    "flat vertices": ({"v": np.zeros((3, 2))}, ", not \\[V, 3\\]"),
    "no vertices": ({"v": np.zeros((0, 3))}, ", not \\[V, 3\\]"),
    "no faces": ({"f": np.zeros((0, 3), dtype=int)}, "not whole numbers"),
    "a point": ({"v": np.zeros((3, 3))}, "span no area"),
    "an object": ({"v": np.array([{"code": 1}], dtype=object)}, "not an .npz of plain arrays: Object arrays"),
    "words": ({"v": np.array([["a", "b", "c"]] * 3)}, "v is not an array of finite numbers"),
    "no camera": ({}, "cam \\(s, tx, ty\\) is missing"),
    "odd camera": ({"cam": np.array([0.0, 0, 0])}, "is not \\(s, tx, ty\\) with a positive s"),
    "out of the picture": ({"cam": np.array([1.0, 50, 0])}, "the whole body is outside the image"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_arrays_are_one_sentence_with_the_file(split: Split, tmp_path: Path, case: str) -> None:
    changed, message = HOSTILE[case]
    one = split.subset([0])
    file = tmp_path / f"{Path(one.paths[0]).stem}.npz"
    triangle = {"v": np.array([[0, 0, 0], [1, 0, 0], [0, 1.0, 0]]), "f": np.array([[0, 1, 2]])}
    np.savez(file, **{**triangle, **changed})
    params: dict[str, Any] = {"camera": "given"} if "camera" in case or "picture" in case else {}
    with pytest.raises(DataError, match=message) as error:
        providers.mesh(context(one, tmp_path / "out", MeshParams(folder=tmp_path, **params)))
    assert str(error.value).startswith(str(file))
    assert "\n" not in str(error.value)


def test_files_that_are_no_mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Truncated, empty, of a different format, unpacking to too much, too large, or missing."""
    pytest.importorskip("trimesh")
    write_npz(tmp_path / "whole.npz", *figure())
    whole = (tmp_path / "whole.npz").read_bytes()
    write_ply(tmp_path / "whole.ply", *figure())
    bad = {
        "cut.npz": whole[: len(whole) // 2], "empty.npz": b"", "text.npz": b"v 0 0 0\n", "empty.obj": b"",
        "points.obj": b"v 0 0 0\nv 1 0 0\n", "text.obj": b"f what is this\n", "far.obj": b"v 0 0 0\nf 1 2 3\n",
        "cut.ply": (tmp_path / "whole.ply").read_bytes()[:200], "text.ply": b"ply\nnothing", "text.glb": b"glTF1234",
        "nan.obj": b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
    }  # fmt: skip
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=f"^{tmp_path / name}: [^\n]+$"):
            meshes.read_mesh(tmp_path / name)
    with pytest.raises(DataError, match=r"gone\.npz: cannot be read: No such file"):
        meshes.read_mesh(tmp_path / "gone.npz")
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("v.npy", b"\0" * 2_000_000)
    monkeypatch.setattr(meshes, "MAX_BYTES", 1_000_000)
    with pytest.raises(DataError, match=r"bomb\.npz: unpacks to 2000000 bytes, more than 1000000"):
        meshes.read_mesh(tmp_path / "bomb.npz")
    monkeypatch.setattr(meshes, "MAX_BYTES", 1000)
    with pytest.raises(DataError, match=r"whole\.npz: \d+ bytes are too large for a body"):
        meshes.read_mesh(tmp_path / "whole.npz")
    vertices, faces = figure()
    monkeypatch.setattr(meshes, "MAX_VERTICES", 31)
    with pytest.raises(DataError, match="32 vertices and 48 faces are too many for a body"):
        meshes.checked_mesh(Path("x.npz"), vertices, faces)


def test_a_lying_header_is_refused(tmp_path: Path) -> None:
    """The header of an array claims more numbers than the file has."""
    import io

    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 3)})
    with zipfile.ZipFile(tmp_path / "lie.npz", "w") as archive:
        archive.writestr("v.npy", stream.getvalue() + b"\0" * 64)
        archive.writestr("f.npy", stream.getvalue())
    with pytest.raises(DataError, match=r"lie\.npz: not an \.npz of plain arrays"):
        meshes.read_mesh(tmp_path / "lie.npz")


def test_without_trimesh_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_obj(tmp_path / "body.obj", *figure())
    monkeypatch.setitem(__import__("sys").modules, "trimesh", None)
    with pytest.raises(DataError, match=r"body\.obj: reading \.obj needs an extra: pip install 'reidbench\[mesh\]'"):
        meshes.read_mesh(tmp_path / "body.obj")


# ---------------------------------------------------------------------- structure maps on disk
def test_other_folders_are_refused(split: Split, tmp_path: Path) -> None:
    """No description, another number of images, arrays of a different shape, damage."""
    folder = release(tmp_path / "market", split, (90,))
    providers.gcl_release(context(split, tmp_path / "out", ReleaseParams(folder=folder, angles=(90,))))
    with pytest.raises(
        DataError, match=r"market: not a structure folder: structure\.json or structure\.npy is missing"
    ):
        structure_maps.StructureMaps.load(folder, COUNT)
    with pytest.raises(DataError, match="holds structure of 16 images, but the target has 15"):
        structure_maps.StructureMaps.load(tmp_path / "out", 15)
    np.save(tmp_path / "out" / structure_maps.STRUCTURE, np.zeros((COUNT, 3, *SIZE), dtype=np.uint8))
    with pytest.raises(DataError, match=r"is uint8 \[16, 3, 32, 16\], not 16 images"):
        structure_maps.StructureMaps.load(tmp_path / "out", COUNT)
    (tmp_path / "out" / structure_maps.STRUCTURE).write_bytes(b"nothing")
    with pytest.raises(DataError, match="the structure folder cannot be read"):
        structure_maps.StructureMaps.load(tmp_path / "out", COUNT)
    np.save(tmp_path / "out" / structure_maps.STRUCTURE, np.array([None]), allow_pickle=True)
    with pytest.raises(DataError, match="the structure folder cannot be read"):
        structure_maps.StructureMaps.load(tmp_path / "out", COUNT)


@pytest.mark.parametrize("angles", [(), (0, 45), (45, 45), (360,), (-45,)])
def test_angles_that_make_no_ring(angles: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="different whole degrees from 1 to 359"):
        MeshParams(folder=tmp_path, angles=angles)


def test_defaults_are_the_released_ones(tmp_path: Path) -> None:
    """Seven folders and the view as seen; every image must have its structure."""
    params = MeshParams(folder=tmp_path)
    assert params.angles == (45, 90, 135, 180, 225, 270, 315)
    assert params.tolerance == 0
