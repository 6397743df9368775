"""Body models: SMPL's equations by an independent formulation and by hand, its provider, and the open model Anny."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from reidbench import PrepareContext
from reidbench.components import Component
from reidbench.data import Split, read_market_folder
from reidbench.data.hidden import hidden_order
from reidbench.errors import DataError
from reidbench.matrix.benchmark import Choice
from reidbench.testing import write_market_folder
from reidbench_gcl.structure import providers, renderer, structure_maps
from reidbench_gcl.structure.anny_body import AnnyBody
from reidbench_gcl.structure.params import AnnyParams, SmplParams
from reidbench_gcl.structure.smpl import SmplModel, rodrigues
from tests.support.contexts import make_context

COUNT, SIZE = 16, (32, 16)
JOINTS = 24
# SMPL's tree: pelvis; hips, spine; knees, spine; ankles, spine; feet, neck, collars; head, shoulders; ...
PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """16 images of 32x16: 4 identities, 2 cameras, 2 images."""
    return read_market_folder(write_market_folder(tmp_path_factory.mktemp("smpl") / "tiny"), name="tiny").train


def context(split: Split, out: Path, params: Any) -> PrepareContext:
    return make_context(PrepareContext, out, params, image_size=SIZE, split=split.hide())[0]


def arrays(seed: int = 0, vertices: int = 60) -> dict[str, np.ndarray]:
    """A model of SMPL's shapes and tree with random content; kintree_table as in the official file."""
    random = np.random.default_rng(seed)
    weights = random.random((vertices, JOINTS)) ** 8
    regressor = random.random((JOINTS, vertices))
    tree = np.array([[2**32 - 1, *PARENTS[1:]], range(JOINTS)], dtype=np.uint32)
    return {
        "v_template": random.normal(size=(vertices, 3)),
        "shapedirs": 0.1 * random.normal(size=(vertices, 3, 10)),
        "posedirs": 0.05 * random.normal(size=(vertices, 3, 9 * (JOINTS - 1))),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": tree,
        "f": random.permuted(np.tile(np.arange(vertices), (40, 1)), axis=1)[:, :3],
    }


def saved(file: Path, content: dict[str, np.ndarray]) -> Path:
    np.savez(file, **content)
    return file


# ---------------------------------------------------------------------- the equations
def test_rotation_vectors() -> None:
    """Results equal scipy's, from zero to more than a full turn, including tiny angles."""
    random = np.random.default_rng(1)
    vectors = np.concatenate([np.zeros((1, 3)), random.normal(size=(20, 3)) * np.logspace(-12, 1, 20)[:, None]])
    assert np.allclose(rodrigues(vectors), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-14)


def by_transforms(content: dict[str, np.ndarray], theta: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """SMPL joint by joint and vertex by vertex with 4 x 4 matrices."""
    turns = Rotation.from_rotvec(theta.reshape(-1, 3)).as_matrix()
    shaped = content["v_template"].copy()
    for number, amount in enumerate(beta):
        shaped += amount * content["shapedirs"][:, :, number]
    joints = content["J_regressor"] @ shaped
    for joint in range(1, JOINTS):
        for row in range(3):
            for column in range(3):
                direction = content["posedirs"][:, :, 9 * (joint - 1) + 3 * row + column]
                shaped = shaped + (turns[joint, row, column] - (row == column)) * direction
    world: list[np.ndarray] = []
    for joint, parent in enumerate(PARENTS):
        local = np.eye(4)
        local[:3, :3] = turns[joint]
        local[:3, 3] = joints[joint] - (joints[parent] if parent >= 0 else 0)
        world.append(world[parent] @ local if parent >= 0 else local)
    posed = []
    for vertex, weights in zip(shaped, content["weights"], strict=True):
        moved = np.zeros(4)
        for joint, weight in enumerate(weights):
            rest = np.eye(4)
            rest[:3, 3] = -joints[joint]
            moved += weight * world[joint] @ rest @ np.array([*vertex, 1])
        posed.append(moved[:3])
    return np.array(posed)


def test_skinning_is_that_of_four_by_four_matrices(tmp_path: Path) -> None:
    content = arrays()
    model = SmplModel.load(saved(tmp_path / "model.npz", content))
    random = np.random.default_rng(2)
    for _ in range(3):
        theta, beta = random.normal(size=72), random.normal(size=10)
        assert np.allclose(model.vertices(theta, beta), by_transforms(content, theta, beta), atol=1e-10)
        assert np.array_equal(model.vertices(theta, beta), model.vertices(theta.reshape(24, 3), beta))


def test_without_a_pose_the_body_is_template_and_shape(tmp_path: Path) -> None:
    content = arrays()
    model = SmplModel.load(saved(tmp_path / "model.npz", content))
    assert (model.joints, model.faces.shape) == (24, (40, 3))
    assert np.allclose(model.vertices(np.zeros(72), np.zeros(10)), content["v_template"])
    beta = np.arange(4.0)  # fewer than the model has: the rest is 0
    wanted = content["v_template"] + content["shapedirs"][:, :, :4] @ beta
    assert np.allclose(model.vertices(np.zeros(72), beta), wanted)


def test_the_root_turns_the_whole_body(tmp_path: Path) -> None:
    """The body turns rigidly about the root joint, for any pose; pose corrections do not change it."""
    content = arrays()
    model = SmplModel.load(saved(tmp_path / "model.npz", content))
    theta, beta = np.random.default_rng(3).normal(size=72), np.ones(10)
    theta[:3] = 0
    still = model.vertices(theta, beta)
    theta[:3] = [0.4, -1.1, 0.7]
    root = content["J_regressor"][0] @ (content["v_template"] + content["shapedirs"] @ beta)
    wanted = Rotation.from_rotvec(theta[:3]).apply(still - root) + root
    assert np.allclose(model.vertices(theta, beta), wanted)


def two_joints() -> dict[str, np.ndarray]:
    """A stick along x: a joint at 0 and one at 1, vertices at 0, .5, 1 and 2, one of them weighted half and half."""
    stick = np.array([[0, 0, 0], [0.5, 0, 0], [1, 0, 0], [2, 0, 0]], dtype=float)
    return {
        "v_template": stick,
        "shapedirs": stick[:, :, None],  # one shape that lengthens it
        "posedirs": np.zeros((4, 3, 9)),
        "J_regressor": np.array([[1.0, 0, 0, 0], [0, 0, 1, 0]]),
        "weights": np.array([[1.0, 0], [1, 0], [0.5, 0.5], [0, 1]]),
        "kintree_table": np.array([[2**32 - 1, 0], [0, 1]], dtype=np.uint32),
        "f": np.array([[0, 1, 3]]),
    }


def test_a_stick_bends_at_its_joint_by_hand(tmp_path: Path) -> None:
    """The outer joint by 90 degrees about z: the end goes from (2, 0) to (1, 1); at twice the length to (2, 2)."""
    model = SmplModel.load(saved(tmp_path / "stick.npz", two_joints()))
    bend = np.array([0, 0, 0, 0, 0, np.pi / 2])
    assert np.allclose(model.vertices(bend, np.zeros(1)), [[0, 0, 0], [0.5, 0, 0], [1, 0, 0], [1, 1, 0]])
    assert np.allclose(model.vertices(bend, np.ones(1)), [[0, 0, 0], [1, 0, 0], [2, 0, 0], [2, 2, 0]])
    both = np.array([0, 0, np.pi / 2, 0, 0, np.pi / 2])  # the root as well: up, then to the left
    assert np.allclose(model.vertices(both, np.zeros(1)), [[0, 0, 0], [0, 0.5, 0], [0, 1, 0], [-1, 1, 0]])


def test_pose_corrections_are_of_rotation_matrices(tmp_path: Path) -> None:
    """A direction for one entry of the outer joint's matrix moves its vertex by that entry minus the identity's."""
    content = two_joints()
    content["posedirs"][0, 2, 1] = 3.0  # z of vertex 0 by entry (0, 1), which is -sin
    model = SmplModel.load(saved(tmp_path / "stick.npz", content))
    assert model.vertices(np.array([0, 0, 0, 0, 0, 0.5]), np.zeros(1))[0] == pytest.approx([0, 0, -3 * np.sin(0.5)])


# ---------------------------------------------------------------------- hostile files
def broken(changed: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {**arrays(), **changed}
    return {name: array for name, array in content.items() if array is not None}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weights": None, "f": None}, "weights, f missing; it has v_template"),
        ({"weights": np.ones((60, 24))}, "weights of some vertices do not add up to 1"),
        ({"J_regressor": np.ones((24, 59))}, r"J_regressor is \[24, 59\], not \[24, 60\]"),
        ({"posedirs": np.zeros((60, 3, 9))}, r"posedirs is \[60, 3, 9\], not \[60, 3, 207\]"),
        ({"shapedirs": np.array(0.0)}, r"shapedirs is \[\], not"),
        ({"v_template": np.full((60, 3), np.inf)}, "v_template is not an array of finite numbers"),
        ({"f": np.array([[0, 1, 60]])}, "a face has vertex 60, but there are 60 vertices"),
        ({"kintree_table": np.array([[0, *range(1, 24)], range(24)])}, "a parent after its child"),
        ({"J_regressor": np.array([{}], dtype=object)}, "not an .npz of plain arrays: Object arrays"),
    ],
)
def test_a_file_that_is_no_model(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    file = saved(tmp_path / "model.npz", broken(changed))
    with pytest.raises(DataError, match=message) as error:
        SmplModel.load(file)
    assert str(error.value).startswith(str(file))


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def test_pickles_are_never_loaded(split: Split, tmp_path: Path) -> None:
    """Neither the official .pkl, nor a renamed one, nor pickled members are loaded: no code in them runs."""
    bomb = pickle.dumps(Bomb(tmp_path / "boom"))
    model = tmp_path / "basicModel_neutral.pkl"
    model.write_bytes(bomb)
    with pytest.raises(ValueError, match=r"pickles are never loaded: convert it once, .*numpy\.savez\(out, v_template"):
        SmplParams(model=model, folder=tmp_path)
    (tmp_path / "renamed.npz").write_bytes(bomb)
    with pytest.raises(DataError, match=r"renamed\.npz: not an \.npz of plain arrays"):
        SmplModel.load(tmp_path / "renamed.npz")
    with pytest.raises(DataError, match="Object arrays cannot be loaded"):
        SmplModel.load(
            saved(tmp_path / "objects.npz", broken({"f": np.array([Bomb(tmp_path / "boom")], dtype=object)}))
        )
    assert not (tmp_path / "boom").exists()


# ---------------------------------------------------------------------- the provider
def parameters(count: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    theta = 0.3 * random.normal(size=(count, 72))
    theta[:, :3] = [np.pi, 0, 0]  # as HMR's, whose y points down
    cam = np.stack([0.3 + 0.01 * np.arange(count), *np.zeros((2, count))], 1)
    return {"theta": theta, "beta": random.normal(size=(count, 10)), "cam": cam}


def stems(split: Split) -> list[str]:
    return [Path(path).stem for path in split.paths]


@pytest.mark.parametrize("camera", ["given", "fit"])
def test_parameters_of_each_image_are_rendered(split: Split, tmp_path: Path, camera: Any) -> None:
    """One file per image and one file for all give the same; every image has the views of its body, upright."""
    model = saved(tmp_path / "model.npz", arrays())
    table = parameters(COUNT)
    folder = tmp_path / "people"
    folder.mkdir()
    for row, stem in enumerate(stems(split)):
        saved(folder / f"{stem}.npz", {name: array[row] for name, array in table.items()})
    file = saved(tmp_path / "people.npz", {"names": np.array([f"{stem}.png" for stem in stems(split)]), **table})
    for out, where in (("many", {"folder": folder}), ("one", {"file": file})):
        params = SmplParams(model=model, camera=camera, angles=(90, 180), **where)  # type: ignore[arg-type]
        providers.smpl(context(split, tmp_path / out, params))
    many, one = (structure_maps.StructureMaps.load(tmp_path / out, COUNT) for out in ("many", "one"))
    assert np.array_equal(many.maps, one.maps)
    assert (many.provider, many.angles) == ("smpl", (90, 180))
    for index, place in list(enumerate(hidden_order(COUNT).tolist()))[:4]:
        body = by_transforms(arrays(), table["theta"][place], table["beta"][place]) * [1, -1, -1]
        if camera == "given":
            view = renderer.Camera.weak_perspective(table["cam"][place], SIZE)
        else:
            view = renderer.Camera.fit(body, SIZE)
        wanted = renderer.render_turned(body, arrays()["f"], view, SIZE, (90, 180))
        assert np.abs(many.maps[index].astype(int) - wanted).max() <= 1


def test_parameters_missing_doubled_or_odd(split: Split, tmp_path: Path) -> None:
    model = saved(tmp_path / "model.npz", arrays())
    table = {"names": np.array(stems(split)), **parameters(COUNT)}

    def message(name: str, content: dict[str, np.ndarray], **params: Any) -> str:
        file = saved(tmp_path / f"{name}.npz", content)
        with pytest.raises(DataError) as error:
            providers.smpl(context(split, tmp_path / "out", SmplParams(model=model, file=file, **params)))
        return str(error.value)

    few = {name: array[:13] for name, array in table.items()}
    assert message("few", few, tolerance=0.1).startswith("smpl: 3 of 16 images have no structure (00")
    providers.smpl(
        context(
            split, tmp_path / "left", SmplParams(model=model, file=tmp_path / "few.npz", tolerance=0.2, angles=(90,))
        )
    )
    left = np.flatnonzero(hidden_order(COUNT) >= 13)
    assert list(structure_maps.StructureMaps.load(tmp_path / "left", COUNT).missing) == left.tolist()
    twice = {**table, "names": np.array([stems(split)[0], *stems(split)[:-1]])}
    assert "twice.npz: rows 0 and 1 belong to the same image" in message("twice", twice)
    assert "theta has 69 numbers, but 24 joints need 72" in message("short", {**table, "theta": table["theta"][:, :69]})
    assert "beta is [11], but the model has 10 shapes" in message("long", {**table, "beta": np.zeros((COUNT, 11))})
    assert "names must be strings [M], and cam must have length M" in message("odd", {**table, "cam": np.ones((3, 3))})
    assert "names must be strings" in message("numbers", {**table, "names": np.arange(COUNT)})
    assert "cam missing" in message("blind", {name: table[name] for name in ("names", "theta", "beta")})
    nan = {**table, "theta": np.full((COUNT, 72), np.nan)}
    assert "theta is not an array of finite numbers" in message("nan", nan)
    for where in ({}, {"folder": tmp_path, "file": tmp_path / "few.npz"}):
        with pytest.raises(ValueError, match="give either folder or file"):
            SmplParams(model=model, **where)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["model", "folder", "file"])
def test_content_and_not_place_is_in_the_key(tmp_path: Path, name: str) -> None:
    """Moved files give the same stage; changed files give another."""
    component = Component("smpl", "reidbench_gcl.structure.providers:smpl", SmplParams)

    def identity(place: Path, content: bytes) -> Any:
        files = {"model": place / "model.npz", "file": place / "people.npz", "folder": place / "folder" / "a.npz"}
        for kind, file in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if kind == name else b"")
        where = {"file": files["file"]} if name == "file" else {"folder": place / "folder"}
        return Choice("preparer", component, SmplParams(model=place / "model.npz", **where)).identity  # type: ignore[arg-type]

    first = identity(tmp_path / "here", b"one")
    assert first == identity(tmp_path / "there", b"one")
    assert first != identity(tmp_path / "here", b"two")


# ---------------------------------------------------------------------- Anny
def test_anny_is_an_extra(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the error is one sentence; a cam is required; missing images are counted first."""
    monkeypatch.setitem(__import__("sys").modules, "anny", None)
    with pytest.raises(DataError, match=r"anny: the body model needs an extra: pip install 'reidbench\[anny\]'"):
        providers.anny(context(split, tmp_path / "out", AnnyParams()))
    with pytest.raises(DataError, match="anny: 16 of 16 images have no structure"):
        providers.anny(context(split, tmp_path / "out", AnnyParams(folder=tmp_path)))
    with pytest.raises(ValueError, match="camera: given needs folder or file"):
        AnnyParams(camera="given")
    with pytest.raises(ValueError, match="give folder or file, or neither"):
        AnnyParams(folder=tmp_path, file=tmp_path)


@pytest.fixture(scope="module")
def body() -> AnnyBody:
    """Takes minutes if the machine has never built it, seconds otherwise."""
    pytest.importorskip("anny")
    return AnnyBody()


@pytest.mark.long
def test_annys_body_stands_upright_and_faces_us(body: AnnyBody) -> None:
    """Higher than wide, arms lowered, toes before heels; taller, turned and bent by its parameters."""
    assert len(body.bones) == 104
    own, hanging = body.of_arrays({}, 0), body.of_arrays({}, 30)
    width, height, depth = np.ptp(hanging, axis=0)
    assert 1.4 < height < 2.0
    assert width < 0.6 * np.ptp(own[:, 0])
    assert depth < width
    assert np.allclose(np.abs(hanging[:, 0].min()), hanging[:, 0].max(), atol=0.01)  # symmetric arms
    feet = hanging[hanging[:, 1] < hanging[:, 1].min() + 0.05]
    ankles = hanging[np.abs(hanging[:, 1] - hanging[:, 1].min() - 0.12) < 0.02]
    assert feet[:, 2].max() > ankles[:, 2].max() + 0.08
    tall = body.of_arrays({"height": np.array(1.0)}, 30)
    assert np.ptp(tall[:, 1]) > height + 0.1
    away = body.of_arrays({"yaw": np.array([90.0])}, 30)
    assert np.allclose(away, renderer.turned_body(hanging, 90))
    pose = body.standing(30)
    pose[body.bones.index("lowerleg01.L")] = [np.pi / 2, 0, 0]
    assert np.ptp(body.of_arrays({"pose": pose}, 30)[:, 2]) > depth + 0.1


@pytest.mark.long
def test_anny_provides_structure(body: AnnyBody, split: Split, tmp_path: Path) -> None:
    """Images differ by their yaw; without parameters all are equal; invalid parameters are errors."""
    few = split.subset(range(4))
    file = saved(tmp_path / "yaws.npz", {"names": np.array(stems(few)), "yaw": 90.0 * np.arange(4)})
    providers.anny(context(few, tmp_path / "out", AnnyParams(file=file, angles=(90, 180))))
    found = structure_maps.StructureMaps.load(tmp_path / "out", 4)
    by_place = found.maps[np.argsort(hidden_order(4))]
    for place in range(4):
        turned = renderer.turned_body(body.of_arrays({}, 30), 90 * place)
        camera = renderer.Camera.fit(turned, SIZE)
        wanted = renderer.render_turned(turned, body.faces, camera, SIZE, (90, 180))
        assert np.abs(by_place[place].astype(int) - wanted).max() <= 1
    assert len(np.unique(found.maps[:, 0].reshape(4, -1), axis=0)) == 4
    providers.anny(context(few, tmp_path / "same", AnnyParams(angles=(90,))))
    same = structure_maps.StructureMaps.load(tmp_path / "same", 4).maps
    assert (same == same[:1]).all()
    for content, message in (
        ({"yaw": np.zeros((4, 2))}, "yaw must be one number"),
        ({"age": np.full(4, 2.0)}, "phenotypes must be from 0 to 1"),
        ({"hat": np.zeros(4)}, "unknown hat; use pose, yaw, cam, gender"),
        ({"pose": np.zeros((4, 3, 3))}, r"pose is \[3, 3\], not \[104, 3\]"),
    ):
        file = saved(tmp_path / "odd.npz", {"names": np.array(stems(few)), **content})
        with pytest.raises(DataError, match=rf"odd\.npz: {message}"):
            providers.anny(context(few, tmp_path / "odd", AnnyParams(file=file, angles=(90,))))
