"""Commands on a store: features of images, export, curves, cleaning."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from typer.testing import CliRunner

from reidbench.cli import main
from reidbench.errors import ReidbenchError, StoreError
from reidbench.export import features, networks
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry import plugins
from reidbench.report import Leaderboard
from reidbench.store import cleaning, locks
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix, write_market_folder

METHODS = {
    "bot": "{finetune: {use: bot, epochs: 2, identities: 4, images: 2}}",
    "moco": "{pretrain: {use: moco-v2, epochs: 2, batch: 8, splits: 2, queue: 16, dim: 16}, finetune: none}",
    "colours": "{finetune: colour-histogram}",
    "mgn": "{finetune: {use: mgn, epochs: 1, identities: 4, images: 2}}",
    "both": "{ensemble: [bot, colours]}",
}


def text(root: Path, *names: str, epochs: int = 2) -> str:
    methods = ", ".join(f"{name}: {METHODS[name]}" for name in names).replace(
        "bot, epochs: 2", f"bot, epochs: {epochs}"
    )
    return f"""
image_size: [96, 32]
data: {{tiny: {{use: market-folder, root: {root}}}}}
tasks: {{t: {{source: tiny, target: tiny, pool: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{{methods}}}
"""


class Place:
    """A folder with data, a matrix file and a store in which all of METHODS has run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = write_market_folder(folder / "data", images=4, size=(96, 32))
        self.board: Leaderboard = run_matrix(text(self.data, *METHODS), folder)
        assert {result.status for result in self.board.results} == {"ok"}
        self.store = Store(folder / "store")

    def key(self, method: str) -> str:
        (found,) = {result.row.key for result in self.board.results if result.row.method == method}
        assert found is not None
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Read only."""
    return Place(tmp_path_factory.mktemp("use"))


@pytest.fixture
def own(place: Place, tmp_path: Path) -> Store:
    """A copy of the store, to clean."""
    shutil.copytree(place.store.root, tmp_path / "own")
    return Store(tmp_path / "own")


def run(*arguments: object) -> str:
    """A command in this process; its output. Its errors are raised."""
    done = CliRunner().invoke(main.app, [str(one) for one in arguments], catch_exceptions=False)
    return done.output


def stage_of(store: Store, key: str) -> dict[str, Any]:
    stage: dict[str, Any] = store.manifest(key).manifest["stage"]
    return stage


# ---------------------------------------------------------------------- embed
def test_features_are_those_of_the_benchmark(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "some.npz"
    first = next(iter(sorted((place.data / "query").iterdir())))
    told = run("embed", place.key("bot")[:10], place.data / "query", first, "-o", out, "--store", place.store.root)
    assert told.startswith(f"{out}: 9 images, 28 dimensions, by finetune bot [t")
    with np.load(out, allow_pickle=False) as found:
        names, features = found["names"].tolist(), found["features"]
    assert names[:8] == sorted(str(path) for path in (place.data / "query").iterdir())
    assert names[8] == str(first)
    (embedded,) = (parent for _, parent in stage_of(place.store, place.key("bot"))["parents"])
    with np.load(place.store.path(embedded) / "features.npz") as known:
        np.testing.assert_allclose(features[:8], known["query_features"], atol=1e-6)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[8], features[0], atol=1e-5)


def test_features_may_be_means_over_both_sides_of_the_mirror(place: Place, tmp_path: Path) -> None:
    """A picture and its mirror image then have the same feature: the mean of what they have alone."""
    mirrored = tmp_path / "mirrored"
    mirrored.mkdir()
    for picture in (place.data / "query").iterdir():
        with Image.open(picture) as image:
            ImageOps.mirror(image).save(mirrored / f"{picture.stem}.png")
            image.save(tmp_path / f"{picture.stem}.png")

    def features(folder: Path, *options: str) -> Any:
        out = tmp_path / "features.npz"
        run("embed", place.key("bot"), *sorted(folder.glob("*.png")), "-o", out, "--store", place.store.root, *options)
        with np.load(out) as found:
            return found["features"]

    both, mean = features(tmp_path, "--flip"), (features(tmp_path) + features(mirrored)) / 2
    np.testing.assert_allclose(both, mean, atol=1e-5)
    np.testing.assert_allclose(both, features(mirrored, "--flip"), atol=1e-5)


@pytest.mark.parametrize("ending", [".npz", ".mat"])
def test_what_embed_writes_is_what_score_reads(place: Place, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"some{ending}"
    folders = place.data / "query", place.data / "bounding_box_test"
    run("embed", place.key("bot"), *folders, "-o", out, "--store", place.store.root)
    scored = json.loads(run("score", out, "--json"))
    (row,) = (result for result in place.board.results if result.row.method == "bot")
    assert scored["mAP"] == pytest.approx(row.metrics["mAP"], abs=1e-9)
    assert scored["warnings"] == []
    start = out.read_bytes()[:6]
    assert start == (b"MATLAB" if ending == ".mat" else b"PK\3\4" + start[4:])


@pytest.mark.parametrize(("name", "what"), [("a.csv", r"unknown extension \.csv"), ("a", "has no extension")])
def test_endings_that_embed_cannot_write(place: Place, tmp_path: Path, name: str, what: str) -> None:
    with pytest.raises(ReidbenchError, match=rf"{name}: {what}; use \.npz or \.mat$"):
        run("embed", "any key", place.data / "query", "-o", tmp_path / name, "--store", place.store.root)
    assert not list(tmp_path.iterdir())


def test_places_where_embed_cannot_write_are_refused_before_anything_is_computed(place: Place, tmp_path: Path) -> None:
    (tmp_path / "a.npz").mkdir()
    with pytest.raises(ReidbenchError, match=r"a\.npz: this is a folder; name a file, for example .*features\.npz"):
        run("embed", "any key", place.data / "query", "-o", tmp_path / "a.npz", "--store", place.store.root)
    with pytest.raises(ReidbenchError, match=r"b\.npz: no such folder .*none"):
        run("embed", "any key", place.data / "query", "-o", tmp_path / "none" / "b.npz", "--store", place.store.root)
    assert [path.name for path in tmp_path.rglob("*")] == ["a.npz"]


def test_pictures_that_are_passed_over_are_named(place: Place, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    Image.new("RGB", (32, 96), (200, 30, 30)).save(folder / "a.GIF")
    (folder / "b.heic").touch()
    told = run("embed", place.key("bot"), folder, "-o", tmp_path / "x.npz", "--store", place.store.root)
    assert f"note: {folder}: 1 files left out, images of an unsupported format" in told
    assert f"{tmp_path / 'x.npz'}: 1 images" in told


def test_what_has_no_network_is_reported(place: Place, tmp_path: Path) -> None:
    data = next(key for key in place.store.keys() if stage_of(place.store, key)["kind"] == "data")  # noqa: SIM118
    with pytest.raises(StoreError, match="is an ensemble; name one of its members: "):
        networks.network_of(place.store, place.key("both"))
    with pytest.raises(StoreError, match="of a stage 'data', which has no network"):
        networks.network_of(place.store, data)
    with pytest.raises(
        StoreError,
        match=r"unknown key 'zz': no key in the store .* starts with it; `reidbench table FILE --format json` lists",
    ):
        networks.find(place.store, "zz")
    with pytest.raises(StoreError, match=r"key '' is ambiguous: \d+ keys in the store .* start with it: "):
        networks.find(place.store, "")
    with pytest.raises(ReidbenchError, match="no such file or folder"):
        run("embed", place.key("bot"), tmp_path / "gone", "-o", tmp_path / "x.npz", "--store", place.store.root)
    with pytest.raises(ReidbenchError, match="this folder contains no images"):
        features.pictures([tmp_path])


# ---------------------------------------------------------------------- export
def test_weights_fit_a_fresh_network(place: Place, tmp_path: Path, registry: plugins.Registry) -> None:
    from reidbench.training import load_weights, read_state

    out = tmp_path / "weights.safetensors"
    run("export", place.key("bot"), "--format", "safetensors", "-o", out, "--store", place.store.root)
    artifact = networks.network_of(place.store, place.key("bot"))
    embedder = networks.load(place.store, artifact, registry)
    expected = embedder.backbone.state_dict()
    assert load_file(out).keys() == expected.keys()
    sidecar = json.loads(out.with_suffix(".json").read_text())
    assert (sidecar["image_size"], sidecar["key"]) == ([96, 32], artifact.key)
    component = registry.get("backbone", sidecar["use"])
    fresh = component.load()(component.params(**sidecar["params"]), sidecar["image_size"])
    assert load_weights(fresh, read_state(out)).share == 1
    assert all(torch.equal(fresh.state_dict()[name], tensor) for name, tensor in expected.items())
    with pytest.raises(ReidbenchError, match="ColourHistogram has no backbone"):
        run("export", place.key("colours"), "--format", "safetensors", "-o", out, "--store", place.store.root)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("method", ["bot", pytest.param("mgn", marks=pytest.mark.long)])  # torch's two exporters
def test_onnx_computes_the_same_for_batches_of_any_size(
    place: Place, tmp_path: Path, registry: plugins.Registry, method: str
) -> None:
    pytest.importorskip("onnxscript")
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    out = tmp_path / "network.onnx"
    run("export", place.key(method), "-o", out, "--store", place.store.root)
    embedder = networks.load(place.store, networks.network_of(place.store, place.key(method)), registry)
    session = runtime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    for count in (1, 5):
        images = torch.randn(count, 3, 96, 32, generator=torch.Generator().manual_seed(count))
        with torch.no_grad():
            expected = embedder(images).numpy()
        (found,) = session.run(None, {"images": images.numpy()})
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    facts = {entry.key: entry.value for entry in onnx.load(str(out)).metadata_props}
    preprocess = json.loads(facts["reidbench.preprocess"])
    assert (preprocess["size"], preprocess["mean"]) == ([96, 32], [0.485, 0.456, 0.406])
    assert facts["reidbench.key"] == networks.network_of(place.store, place.key(method)).key


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_network_that_onnx_cannot_say_leaves_no_file(place: Place, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    with pytest.raises(ReidbenchError, match="ColourHistogram cannot be exported to ONNX: "):
        run("export", place.key("colours"), "-o", tmp_path / "x.onnx", "--store", place.store.root)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- curves
@pytest.mark.filterwarnings("ignore")  # TensorBoard's own
def test_curves_are_what_was_logged(place: Place, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    file = place.folder / "matrix.yaml"
    told = run("curves", file, "-o", tmp_path / "tb", "--store", place.store.root)
    assert told.startswith("3 new runs")  # bot, mgn and moco-v2
    (folder,) = (tmp_path / "tb").glob("finetune-bot-*")
    events = EventAccumulator(str(folder))
    events.Reload()
    key = networks.network_of(place.store, place.key("bot")).key
    lines = [json.loads(line) for line in (place.store.path(key) / "log.jsonl").read_text().splitlines()]
    assert set(events.Tags()["scalars"]) == set(lines[0])
    found = [(event.step, event.value) for event in events.Scalars("loss")]
    assert found == [(number, pytest.approx(line["loss"], rel=1e-6)) for number, line in enumerate(lines)]
    assert run("curves", "-o", tmp_path / "tb", "--store", place.store.root).startswith("0 new runs")


# ---------------------------------------------------------------------- clean
def test_only_what_no_file_needs_goes(place: Place, own: Store, tmp_path: Path) -> None:
    file = tmp_path / "other.yaml"
    file.write_text(text(place.data, "moco", "colours", "mgn"))
    before = own.keys()
    bot = networks.network_of(own, place.key("bot")).key
    told = run("clean", "--dry-run", file, "--store", own.root)
    assert own.keys() == before
    assert f"would remove finetune bot [tiny, seed 0] {bot}" in told
    told = run("clean", file, "--store", own.root)
    gone = before - own.keys()
    assert {stage_of(place.store, key)["label"].split(" [")[0] for key in gone} == {
        "finetune bot", "embed bot -> tiny", "evaluate cosine of bot -> tiny", "evaluate cosine of both -> tiny",
    }  # fmt: skip
    assert told.splitlines()[-1].startswith("4 items removed, ")
    assert not list((own.root / "tmp").iterdir())
    assert run("plan", file, "--store", own.root).splitlines()[1].endswith("stages, 0 to run")
    assert run("clean", file, "--store", own.root).startswith("0 items removed, 0 B")
    both = place.folder / "matrix.yaml", file
    assert cleaning.leftovers(place.store, set().union(*(needs(one) for one in both))) == []


def planned(file: Path) -> dict[str, plan.Stage]:
    registry = plugins.load()
    return plan.expand(reader.read(file, registry)).stages


def needs(file: Path) -> set[str]:
    return set(planned(file))


def test_a_running_stage_keeps_what_it_has(place: Place, own: Store, tmp_path: Path) -> None:
    file = tmp_path / "other.yaml"
    file.write_text(text(place.data, "bot", epochs=3))
    (running,) = (key for key in needs(file) - own.keys() if planned(file)[key].kind == "finetune")
    stranger = "f" * 32
    for key in (running, stranger):
        (own.scratch(key) / "checkpoint").write_text("half way")
        (own.root / "tmp" / f"{key}-999999999-1").mkdir()
    with own.claim(running):
        told = run("clean", file, "--store", own.root)
        assert (own.root / "tmp" / f"{running}-999999999-1").is_dir()
        assert (own.root / "scratch" / running / "checkpoint").is_file()
        assert f"removed checkpoint {stranger}" in told
        assert f"removed unfinished artifact {stranger}" in told
    run("clean", file, "--store", own.root)
    assert not (own.root / "tmp" / f"{running}-999999999-1").exists()  # its writer is gone
    assert (own.root / "scratch" / running / "checkpoint").is_file()  # from which the next run resumes
    with own.claim(stranger), pytest.raises(StoreError, match=r"another run is computing ffff.*add its file"):
        run("clean", file, "--store", own.root)


@pytest.mark.parametrize("shift", [0, 86_400, -86_400])
def test_a_run_keeps_all_that_it_needs(place: Place, own: Store, tmp_path: Path, shift: float) -> None:
    """Between two of its stages no claim is held; it may run on another host, and this host's clock may be wrong."""
    file = tmp_path / "other.yaml"
    file.write_text(text(place.data, "moco", "colours", "mgn"))
    before = own.keys()
    everything = needs(place.folder / "matrix.yaml")
    with own.needing(everything):
        (lock,) = (own.root / "runs").iterdir()
        owner = json.loads(lock.read_text())
        lock.write_text(json.dumps({**owner, "host": "elsewhere", "since": 1_700_000_000_000_000_000}))
        os.utime(lock, (time.time() + shift,) * 2)
        beats = threading.Timer(0.5, os.utime, (lock,))  # its next sign of life
        beats.start()
        said = run("clean", file, "--store", own.root)
        beats.join()
        assert any(line.startswith("0 items removed") for line in said.splitlines())
        assert f"note: elsewhere (process {os.getpid()}, since 2023-11-14 22:13:20 UTC) runs a matrix" in said
        assert ("waiting for one" in said) == (shift != 0)
        assert own.keys() == before
        lock.unlink()
    assert run("clean", file, "--store", own.root).startswith("removed ")
    assert own.keys() < before


def test_a_run_that_begins_while_clean_works_keeps_what_it_needs(own: Store) -> None:
    first, second, *_ = cleaning.leftovers(own, set())
    with Store(own.root).needing({first.key}):
        assert not cleaning.remove(own, first)
        assert cleaning.remove(own, second)
    assert cleaning.remove(own, first)


def test_the_lock_of_a_run_that_died_holds_nothing(place: Place, own: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once where its process can be looked at, else when no sign of life has been seen for long enough."""
    monkeypatch.setattr(locks, "DEAD_AFTER", 0.3)
    stray = sorted(own.keys())[0]
    needed = needs(place.folder / "matrix.yaml") - {stray}
    (own.root / "runs").mkdir(exist_ok=True)
    for owner in ({**locks.identity(), "start": "1"}, {"host": "elsewhere", "pid": 1, "start": "1"}):
        lock = own.root / "runs" / "dead.json"
        lock.write_text(json.dumps({**owner, "keys": [stray]}))
        os.utime(lock, (1000, 1000))
        assert [one.what for one in cleaning.leftovers(own, needed)][-1] == "lock of a dead run"
        assert stray in {one.key for one in cleaning.leftovers(own, needed)}
        lock.unlink()


def test_what_dead_workers_left_goes(place: Place, own: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "DEAD_AFTER", 0.3)
    file = place.folder / "matrix.yaml"
    done, gone = place.key("bot"), "e" * 32
    own.record_failure(gone, "why")
    own.log_file(gone).write_text("log")
    (own.scratch(done) / "checkpoint").write_text("of a stage that is done")
    (own.root / "damaged").mkdir(exist_ok=True)
    (own.root / "damaged" / f"{done}-1").mkdir()
    claim = own.root / "claims" / f"{gone}.json"
    claim.write_text(json.dumps({"host": "elsewhere", "pid": 1, "start": "1"}))
    os.utime(claim, (time.time() - 1000,) * 2)
    used = "d" * 32
    held, old = own.spec_file(used), own.spec_file(gone)
    for spec in (held, old):
        spec.write_text("{}")
        os.utime(spec, (time.time() - 1000,) * 2)
    before = own.keys()
    with own.needing({used}):
        found = [one.what for one in cleaning.leftovers(own, needs(file))]
        assert sorted(found) == sorted(
            [
                "checkpoint",
                "reason of a failure",
                "log",
                "damaged artifact, set aside",
                "claim of a dead worker",
                "spec of a worker",
            ]
        )
        run("clean", file, "--store", own.root)
        assert own.keys() == before
        assert cleaning.leftovers(own, needs(file)) == []
        assert held.exists()  # a run continues that may start this worker
    assert not claim.exists()


def test_a_claim_that_comes_in_between_is_respected(own: Store) -> None:
    (leftover, *_) = cleaning.leftovers(own, set())
    with own.claim(leftover.key):
        assert not cleaning.remove(own, leftover)
    assert leftover.path.exists()
    assert cleaning.remove(own, leftover)
    assert not leftover.path.exists()


def test_a_wrong_matrix_file_removes_nothing(own: Store, tmp_path: Path) -> None:
    before = own.keys()
    with pytest.raises(ReidbenchError):
        run("clean", tmp_path / "typo.yaml", "--store", own.root)
    assert own.keys() == before
