"""CFS and its controls: scores, selections, lists and hostile ones, memory, the whole harness."""

from __future__ import annotations

import csv
import json
import pickle
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reidbench import SelectContext, Selection
from reidbench.data import HiddenSplit, read_market_folder
from reidbench.errors import ConfigError, DataError, ReidbenchError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix, write_market_folder
from reidbench.training import Backbone, BackboneEmbedder, Features, Preprocess, embed
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_cfs import cfs, cluster, controls, ranking, released
from reidbench_cfs.lists import read_list
from reidbench_cfs.params import CfsParams, ClusterParams, ListParams, NoParams, OracleParams, RandomParams
from reidbench_cfs.scoring import content_hash, measure_pool
from tests.support.contexts import make_context

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (32, 16)
LUPERSON = 4_180_243


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 train images of 32x16: 8 identities, 2 cameras. Query and gallery are deleted: nothing may read them (25)."""
    folder = write_market_folder(tmp_path_factory.mktemp("pool") / "tiny", identities=8)
    for part in ("query", "bounding_box_test"):
        shutil.rmtree(folder / part)
    return folder


@pytest.fixture(scope="module")
def pool(folder: Path) -> HiddenSplit:
    return read_market_folder(folder, name="tiny", parts=("train",)).train.hide()


def network(seed: int = 7) -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = resnet_tiny(TinyParams(width=4), SIZE)
    made.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": list(SIZE)}
    return made


class Changed(Backbone):
    """Another backbone with a scaled vector."""

    def __init__(self, inner: Backbone, factor: float) -> None:
        super().__init__()
        self.inner, self.factor, self.dim, self.spec = inner, factor, inner.dim, inner.spec

    def forward(self, images: torch.Tensor) -> Features:
        answer = self.inner(images)
        return Features(answer.map, answer.vector * self.factor)


def context(
    pool: HiddenSplit, out: Path, params: Any = None, *, seed: int = 0, truth: Any = None, **networks: Any
) -> SelectContext:
    return make_context(
        SelectContext, out, params if params is not None else CfsParams(), image_size=SIZE, seed=seed, truth=truth,
        network=networks.__getitem__, pool=pool, backbone=network,
    )[0]  # fmt: skip


def run(pool: HiddenSplit, out: Path, target: Any = None, **params: Any) -> Selection:
    """cfs between network 7 and `target`, by default network 8."""
    chosen = network(8) if target is None else target
    return cfs.select(context(pool, out, CfsParams(**params), proxy=network(), target_proxy=chosen))


def contents(pool: HiddenSplit, indices: Any = None) -> list[int]:
    """Return the content hash of each image."""
    return [content_hash(pool.image(int(i))) for i in (range(len(pool)) if indices is None else indices)]


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


# ---------------------------------------------------------------------- the score
def test_an_unchanged_target_proxy_gives_one_and_the_order_of_ties(pool: HiddenSplit, tmp_path: Path) -> None:
    """|c - 1| < 1e-6 for every image, so the ranking is the tie-break order: rising content hash."""
    selection = run(pool, tmp_path, network())
    assert np.abs(selection.scores - 1).max() < 1e-6
    ranked = [int(row["content"], 16) for row in rows_of(tmp_path / "list.csv")]
    assert ranked == sorted(contents(pool))
    assert set(contents(pool, selection.indices)) == set(ranked[:16])


def test_negated_features_give_minus_one(pool: HiddenSplit, tmp_path: Path) -> None:
    """The score is the cosine of both proxies' features of an image."""
    assert np.abs(run(pool, tmp_path, Changed(network(), -1.0)).scores + 1).max() < 1e-6


def test_scores_do_not_depend_on_the_length_of_features(pool: HiddenSplit, tmp_path: Path) -> None:
    """A cosine divides by both lengths."""
    plain = run(pool, tmp_path / "a").scores
    assert plain.std() > 1e-4
    for number, factor in enumerate((1e-6, 3.7e4)):
        assert np.abs(run(pool, tmp_path / str(number), Changed(network(8), factor)).scores - plain).max() < 1e-6


def test_scores_are_cosines_of_single_images_before_the_neck(pool: HiddenSplit, tmp_path: Path) -> None:
    """The formula on features that `embed` computes; a neck and the given network's training mode have no effect."""
    preprocess = Preprocess(SIZE)
    first, second = (
        embed(BackboneEmbedder(network(seed), preprocess), pool, pool.camids, batch=1).astype(float) for seed in (7, 8)
    )
    expected = (first * second).sum(1) / (np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1))
    embedder = BackboneEmbedder(network(8), preprocess, neck=True).train()
    with torch.no_grad():
        embedder.neck.norm.weight.copy_(torch.linspace(-3, 3, embedder.backbone.dim))
    selection = run(pool, tmp_path, embedder)
    np.testing.assert_allclose(selection.scores, expected, atol=1e-6)
    assert selection.scores.dtype == np.float32
    counted = [value for name, value in embedder.state_dict().items() if name.endswith("num_batches_tracked")]
    assert counted
    assert all(int(value) == 0 for value in counted)  # nothing ran in training mode


def test_the_batch_changes_no_score(pool: HiddenSplit, tmp_path: Path) -> None:
    """Within 1e-5, here for batches of 1, 5 and 32 and for passes in several chunks."""
    from reidbench_cfs.scoring import Extractor, cosine

    device = torch.device("cpu")
    source, target = (Extractor("x", network(seed).train(), SIZE, device) for seed in (7, 8))
    found = []
    for number, (batch, chunk) in enumerate(((1, 64), (5, 64), (32, 64), (5, 8))):
        ctx = context(pool, tmp_path / str(number))
        columns = measure_pool(ctx, lambda p: (cosine(source(p), target(p)),), batch, chunk, score=np.float32)
        found.append(columns.arrays["score"])
        assert columns.content.tolist() == contents(pool)
    for other in found[1:]:
        assert np.abs(other - found[0]).max() < 1e-5


def test_each_proxy_sees_pixels_as_it_was_trained(pool: HiddenSplit, tmp_path: Path) -> None:
    """Equal weights with other statistics are another function; facts.json records both."""
    other = network()
    other.mean, other.std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    assert run(pool, tmp_path, other).scores.max() < 1 - 1e-6
    pixels = json.loads((tmp_path / "facts.json").read_text())["pixels"]
    assert pixels["target_proxy"] == {"mean": [0.5] * 3, "std": [0.5] * 3}
    assert pixels["proxy"]["mean"] == [0.485, 0.456, 0.406]


def test_networks_that_cannot_be_compared_are_reported(pool: HiddenSplit, tmp_path: Path) -> None:
    wider = resnet_tiny(TinyParams(width=8), SIZE)
    with pytest.raises(ReidbenchError, match="must start from the source proxy"):
        run(pool, tmp_path / "a", wider)
    with pytest.raises(ReidbenchError, match="target_proxy: Linear has no backbone"):
        run(pool, tmp_path / "b", torch.nn.Linear(2, 2))
    with pytest.raises(ReidbenchError, match="target_proxy: trained on images of"):
        run(pool, tmp_path / "c", BackboneEmbedder(network(), Preprocess((64, 32))))
    larger = network()
    larger.spec = {"use": "resnet-tiny", "params": {}, "image_size": [64, 32]}  # pre-trained at another size
    with pytest.raises(ReidbenchError, match=r"target_proxy: trained on images of \(64, 32\), but this step uses"):
        run(pool, tmp_path / "f", larger)
    with pytest.raises(ReidbenchError, match="score of pool image 0000000 is not finite"):
        run(pool, tmp_path / "d", Changed(network(8), float("nan")))
    assert run(pool, tmp_path / "e", Changed(network(8), 0.0)).scores.tolist() == [0.0] * 32  # no direction at all


# ---------------------------------------------------------------------- the selection
def test_the_highest_are_kept_and_shares_are_nested(pool: HiddenSplit, tmp_path: Path) -> None:
    """ceil(keep x N) images are kept, so 7 of 32 for a fifth; a smaller share is a subset of a larger one."""
    kept = {keep: run(pool, tmp_path / str(keep), keep=keep) for keep in (0.2, 0.5, 1.0)}
    scores = kept[0.2].scores
    assert [len(selection.indices) for selection in kept.values()] == [7, 16, 32]
    assert set(kept[0.2].indices) < set(kept[0.5].indices)
    assert kept[1.0].indices.tolist() == list(range(32))
    outside = np.setdiff1d(np.arange(32), kept[0.5].indices)
    assert scores[kept[0.5].indices].min() > scores[outside].max()
    lowest = run(pool, tmp_path / "lowest", keep=0.5, order="lowest")
    assert lowest.indices.tolist() == outside.tolist()
    assert np.array_equal(lowest.scores, scores)


def test_the_order_of_the_pool_does_not_matter(pool: HiddenSplit, tmp_path: Path) -> None:
    """A shuffled pool keeps the same images and has the same hash, also if all scores tie."""
    order = np.random.default_rng(0).permutation(len(pool))
    shuffled = pool.subset(order)
    for number, target in enumerate((network(8), network())):
        outs = tmp_path / f"a{number}", tmp_path / f"b{number}"
        plain, other = run(pool, outs[0], target, keep=0.3), run(shuffled, outs[1], target, keep=0.3)
        np.testing.assert_allclose(other.scores, plain.scores[order], atol=1e-6)
        assert set(contents(shuffled, other.indices)) == set(contents(pool, plain.indices))
        facts = [json.loads((out / "facts.json").read_text()) for out in outs]
        assert facts[0]["pool"] == facts[1]["pool"]
        fewer = run(pool.subset(range(31)), tmp_path / f"c{number}", target)
        assert len(fewer.indices) == 16
        told = json.loads((tmp_path / f"c{number}" / "facts.json").read_text())
        assert told["pool"]["hash"] != facts[0]["pool"]["hash"]


def test_sizes_are_exact_ceilings() -> None:
    """The published keep_num are the ceilings of 50 and 60 % of 4,180,243; floats must not round up by chance."""
    assert ranking.keep_count(0.5, LUPERSON) == 2_090_122
    assert ranking.keep_count(0.6, LUPERSON) == 2_508_146
    assert ranking.keep_count(1.0, LUPERSON) == LUPERSON
    assert ranking.keep_count(0.1, 30) == 3  # 0.1 * 30 is 3.0000000000000004
    assert ranking.keep_count(0.07, 100) == 7
    assert ranking.keep_count(1e-9, 5) == 1
    for percent in range(1, 101):
        assert ranking.keep_count(percent / 100, 1000) == 10 * percent


def test_ties_are_broken_by_content_then_place() -> None:
    scores = np.array([0.5, 0.9, 0.5, 0.5, 0.9], np.float32)
    content = np.array([7, 9, 3, 3, 2**64 - 1], np.uint64)
    assert ranking.descending(scores, content).tolist() == [1, 4, 2, 3, 0]
    assert ranking.descending(scores).tolist() == [1, 4, 0, 2, 3]
    assert ranking.select(scores, 0.6, tie_break=content).indices.tolist() == [1, 2, 4]
    assert ranking.select(scores, 0.4, lowest=True, tie_break=content).indices.tolist() == [0, 3]


def test_a_killed_pass_goes_on_where_it_was(pool: HiddenSplit, tmp_path: Path) -> None:
    read: list[int] = []

    def measure(pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        read.append(len(pixels))
        if len(read) == 6:
            raise KeyboardInterrupt
        return (pixels.float().mean((1, 2, 3)),)

    whole = measure_pool(context(pool, tmp_path / "whole"), lambda p: (p.float().mean((1, 2, 3)),), 4, 8, m=np.float32)
    with pytest.raises(KeyboardInterrupt):
        measure_pool(context(pool, tmp_path / "cut"), measure, 4, 8, m=np.float32)
    rest = measure_pool(context(pool, tmp_path / "cut"), measure, 4, 8, m=np.float32)
    assert len(read) == 6 + 4  # two chunks of two batches were stored; the third is repeated, then the fourth
    assert np.array_equal(rest.arrays["m"], whole.arrays["m"])
    assert rest.content.tolist() == whole.content.tolist() == contents(pool)


# ---------------------------------------------------------------------- lists and facts
def test_the_list_is_in_descending_order_and_exact(pool: HiddenSplit, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    selection = run(pool, tmp_path, keep=0.25)
    rows = rows_of(tmp_path / "list.csv")
    assert list(rows[0]) == ["rank", "id", "score", "content", "kept"]
    assert [int(row["rank"]) for row in rows] == list(range(1, 33))
    scores = np.array([row["score"] for row in rows], dtype=np.float32)
    assert (np.diff(scores) <= 0).all()
    ids = [pool.ids.index(row["id"]) for row in rows]
    assert np.array_equal(scores, selection.scores[ids])  # nine digits bring a float32 back
    assert sorted(ids[:8]) == selection.indices.tolist()
    assert [row["kept"] for row in rows] == ["1"] * 8 + ["0"] * 24
    table = parquet.read_table(tmp_path / "list.parquet").to_pylist()
    assert [row["id"] for row in table] == [row["id"] for row in rows]
    assert [row["score"] for row in table] == scores.tolist()
    assert [f"{row['content']:016x}" for row in table] == [row["content"] for row in rows]


def test_facts_tell_whether_labels_were_used(pool: HiddenSplit, tmp_path: Path) -> None:
    """A fine-tuner's embedder uses the target's labels, a pretrainer's backbone does not."""
    embedder = BackboneEmbedder(network(8), Preprocess(SIZE))
    run(pool, tmp_path / "a", embedder)
    run(pool, tmp_path / "b", network(8), target_proxy={"use": "dino", "epochs": 3})
    with_labels, without = (json.loads((tmp_path / name / "facts.json").read_text()) for name in "ab")
    assert with_labels["uses_target_labels"] is True
    assert with_labels["target_proxy"] == {"use": "transreid"}
    assert without["uses_target_labels"] is False
    assert without["target_proxy"] == {"use": "dino", "epochs": 3}
    assert without["kept"] == {"share": 0.5, "images": 16, "order": "highest"}
    assert without["pool"]["images"] == 32
    assert without["pool"]["hash"] == ranking.pool_hash(np.array(contents(pool), np.uint64))
    assert without["target"] is None  # no artifact, no name


class Run:
    """Code in a hostile pickle that would run on loading."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.file,)


HOSTILE: dict[str, Callable[[Path], bytes]] = {
    "call": lambda file: pickle.dumps(["a.jpg", Run(file)]),
    "system": lambda file: f"cos\nsystem\n(S'touch {file}'\ntR.".encode(),
    "eval in protocol 4": lambda file: b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
    "instance": lambda file: b"(S'1'\nibuiltins\neval\n.",
    "harmless class": lambda file: pickle.dumps([Path("a.jpg")]),
    "numpy": lambda file: pickle.dumps(np.array(["a.jpg"])),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_that_could_run_something_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "CFS_list.pkl").write_bytes(HOSTILE[name](tmp_path / "ran"))
    with pytest.raises(DataError, match=r"CFS_list.pkl: refused, since unpickling would call or create \w"):
        read_list(tmp_path / "CFS_list.pkl", "name")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"a.jpg": 1}), "must hold a list of file names, not a dict"),
        (pickle.dumps(["a.jpg", 3, b"b"]), "must hold a list of file names, not a list with bytes, int"),
        (pickle.dumps(["a.jpg"])[:-3], "cannot be read as a pickle"),
        (b"\x82\x01.", "cannot be read as a pickle"),  # an extension code that nobody registered
        (b"Pnumber\n.", "cannot be read as a pickle"),  # a persistent id
        (b"no pickle", "cannot be read as a pickle"),
        (pickle.dumps([]), "the list is empty"),
    ],
)
def test_other_pickles_are_reported(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "list.pkl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_list(tmp_path / "list.pkl", "name")


def test_every_form_of_a_list_is_read(tmp_path: Path) -> None:
    names = ["34_01_0341_00001865.jpg", "b,1.jpg", "ä.jpg"]
    for protocol in range(6):
        (tmp_path / "list.pkl").write_bytes(pickle.dumps(names, protocol))
        assert read_list(tmp_path / "list.pkl", "name") == names
    (tmp_path / "list.txt").write_text("\n".join(names) + "\n\n", encoding="utf-8")
    assert read_list(tmp_path / "list.txt", "name") == names
    with (tmp_path / "list.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["rank", "name"], *enumerate(names)])
    assert read_list(tmp_path / "list.csv", "name") == names
    for file, message in (("list.csv", "no column 'path' among rank, name"), ("list.npy", "unknown format of a list")):
        with pytest.raises(DataError, match=message):
            read_list(tmp_path / file, "path")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pytest.importorskip("pyarrow").table({"name": names}), tmp_path / "list.parquet")
    assert read_list(tmp_path / "list.parquet", "name") == names
    with pytest.raises(DataError, match="no column 'id' among name"):
        read_list(tmp_path / "list.parquet", "id")


def test_lists_of_other_editors(tmp_path: Path) -> None:
    names = ["a.jpg", "b\u2028.jpg"]
    for end in ("\n", "\r\n", "\r"):
        (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf" + end.join(names).encode())
        assert read_list(tmp_path / "list.txt", "name") == names
        (tmp_path / "list.csv").write_bytes(b"\xef\xbb\xbf" + end.join(["name,rank", "a.jpg,0", "b.jpg,1"]).encode())
        assert read_list(tmp_path / "list.csv", "name") == ["a.jpg", "b.jpg"]
    (tmp_path / "list.txt").write_text("a.jpg\n", encoding="utf-16")
    with pytest.raises(DataError, match="it is UTF-16; save it as UTF-8"):
        read_list(tmp_path / "list.txt", "name")
    (tmp_path / "list.csv").write_text("rank,name\n0,a.jpg\n1\n")
    with pytest.raises(DataError, match=r"list\.csv:3: this line has 1 columns, the first has 2"):
        read_list(tmp_path / "list.csv", "name")


@pytest.fixture
def files(folder: Path) -> list[str]:
    """Return the pool's file names in the order of some score."""
    names = sorted(file.name for file in (folder / "bounding_box_train").iterdir())
    return [names[place] for place in np.random.default_rng(3).permutation(len(names))]


def from_list(pool: HiddenSplit, out: Path, entries: list[str], **params: Any) -> Selection:
    out.mkdir(exist_ok=True)
    (out / "CFS_list.pkl").write_bytes(pickle.dumps(entries))
    return released.select(context(pool, out, ListParams(file=out / "CFS_list.pkl", **params)))


def pictures(pool: HiddenSplit, indices: Any) -> set[int]:
    return set(contents(pool, indices))


@pytest.mark.parametrize("by", ["name", "stem", "path"])
def test_a_released_list_keeps_the_images_that_its_head_names(
    by: str, pool: HiddenSplit, folder: Path, files: list[str], tmp_path: Path
) -> None:
    forms = {"name": str, "stem": lambda name: name[:-4], "path": lambda name: f"bounding_box_train/{name}"}
    entries = [forms[by](name) for name in files]
    selection = from_list(pool, tmp_path, entries, by=by, keep=0.3)
    train = folder / "bounding_box_train"
    named = [content_hash(np.asarray(Image.open(train / name).convert("RGB"))) for name in files]
    assert len(selection.indices) == 10  # ceil of 9.6
    assert pictures(pool, selection.indices) == set(named[:10])
    order = ranking.descending(selection.scores)
    assert contents(pool, order) == named  # scores fall along the list
    assert selection.scores.max() == 1
    assert from_list(pool, tmp_path / "n", entries, by=by, count=10).indices.tolist() == selection.indices.tolist()


def test_missing_entries_are_counted_and_too_many_are_an_error(
    pool: HiddenSplit, files: list[str], tmp_path: Path
) -> None:
    """The error counts missing entries and names the first; below the tolerance the facts hold the counts."""
    entries = ["gone_1.jpg", *files[:19], "gone_2.jpg", files[0]]
    with pytest.raises(DataError, match=r"2 of 22 entries are not in the pool \(by name\).* 5.00%; the first: gone_1"):
        from_list(pool, tmp_path / "strict", entries, tolerance=0.05)
    selection = from_list(pool, tmp_path / "lenient", entries, tolerance=0.1)
    assert len(selection.indices) == 19
    facts = json.loads((tmp_path / "lenient" / "facts.json").read_text())
    assert facts["list"] == {"entries": 22, "asked_for": 22, "missing": 2}
    assert facts["missing"] == ["gone_1.jpg", "gone_2.jpg"]
    assert facts["repeated"] == 1
    assert facts["pool"] == {"images": 32, "not_on_the_list": 13}
    off = np.setdiff1d(np.arange(32), selection.indices)
    assert (selection.scores[off] == 0).all()
    assert selection.scores[selection.indices].min() > 0
    with pytest.raises(DataError, match="2 of 2 entries are not in the pool"):
        from_list(pool, tmp_path / "none", ["x.jpg", "y.jpg"], tolerance=1.0)
    with pytest.raises(DataError, match="40 entries are requested, but the list has 22"):
        from_list(pool, tmp_path / "long", entries, count=40)


def test_names_are_joined_to_single_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two images with the same name are an error, and are distinguished by path; equal hashes of names do no harm."""
    from reidbench.data import hidden

    files = ["a/1.jpg", "b/1.jpg", "b/2.jpg", "key"]
    pool = HiddenSplit(tmp_path, files, np.full(4, -1), [""] * 4)
    for _ in range(2):
        assert pool.match(["b/1.jpg", "a/1.jpg", "1.jpg"], "path").tolist() == [1, 0, -1]
        assert pool.match(["2.jpg", "images/2.jpg", "3.jpg", "key"]).tolist() == [2, 2, -1, 3]
        assert pool.match(["2", "key", "key.jpg", "2.png"], "stem").tolist() == [2, 3, 3, 2]
        assert pool.match([], "name").tolist() == []
        with pytest.raises(DataError, match=r"two images are named 1.jpg; compare whole paths"):
            pool.match(["2.jpg", "1.jpg"])
        monkeypatch.setattr(hidden, "hash", lambda name: 7, raising=False)
    assert HiddenSplit(tmp_path, [], np.empty(0), []).match(["a"]).tolist() == [-1]


def test_our_own_list_is_read_by_id(pool: HiddenSplit, tmp_path: Path) -> None:
    """A list written by cfs and cut elsewhere equals cfs with that share."""
    run(pool, tmp_path / "whole", keep=1.0)
    fifth = run(pool, tmp_path / "fifth", keep=0.2)
    for name in ("list.csv", "list.parquet"):
        if not (tmp_path / "whole" / name).exists():
            continue
        params = ListParams(file=tmp_path / "whole" / name, by="id", keep=0.2)
        again = released.select(context(pool, tmp_path / "again", params))
        assert again.indices.tolist() == fifth.indices.tolist()
    params = ListParams(file=tmp_path / "whole" / "list.csv", by="id")
    with pytest.raises(DataError, match="ids of a pool of 32 images do not fit a pool of 31"):
        released.select(context(pool.subset(range(31)), tmp_path / "other", params))
    for entry, message in (
        ("a.jpg", "ids are numbers"),
        ("1_0", "'1_0' is not a whole"),
        ("32", "ids must be 0 to 31"),
    ):
        with pytest.raises(DataError, match=message):
            from_list(pool, tmp_path / "wrong", [entry] * 32, by="id")


# ---------------------------------------------------------------------- controls
def test_random_is_seeded_and_nested(pool: HiddenSplit, tmp_path: Path) -> None:
    def draw(keep: float, seed: int = 0) -> Selection:
        return controls.random(context(pool, tmp_path, RandomParams(keep=keep), seed=seed))

    assert draw(0.5).indices.tolist() == draw(0.5).indices.tolist()
    assert draw(0.5).indices.tolist() != draw(0.5, seed=1).indices.tolist()
    assert set(draw(0.2).indices) < set(draw(0.5).indices)
    assert len(draw(0.2).indices) == 7
    assert len(np.unique(draw(0.2).scores)) == 32
    often = np.bincount(np.concatenate([draw(0.5, seed).indices for seed in range(400)]), minlength=32) / 400
    assert np.abs(often - 0.5).max() < 0.12  # five standard deviations of a fair draw


def test_all_keeps_the_pools_own_order(pool: HiddenSplit, tmp_path: Path) -> None:
    selection = controls.everything(context(pool, tmp_path, NoParams()))
    assert selection.indices.tolist() == list(range(32))
    assert selection.scores.tolist() == [1.0] * 32


def test_the_oracle_takes_relevant_images_first(pool: HiddenSplit, tmp_path: Path) -> None:
    relevant = np.arange(32) % 3 == 0  # 11 of 32
    truth = SimpleNamespace(relevance=lambda index: bool(relevant[index]))

    def ask(seed: int = 0, **params: Any) -> Selection:
        return controls.oracle(context(pool, tmp_path, OracleParams(**params), truth=truth, seed=seed))

    assert relevant[ask(keep=0.3).indices].sum() == 10
    assert relevant[ask(keep=0.5).indices].sum() == 11
    assert relevant[ask(keep=0.5, order="lowest").indices].sum() == 0
    assert ask(keep=None).indices.tolist() == np.flatnonzero(relevant).tolist()
    assert ask(keep=None, order="lowest").indices.tolist() == np.flatnonzero(~relevant).tolist()
    assert ask(keep=0.3).indices.tolist() != ask(keep=0.3, seed=1).indices.tolist()
    assert set(ask(keep=0.2).indices) < set(ask(keep=0.5).indices)
    assert np.array_equal(ask().scores, relevant.astype(float))
    relevant[:] = False
    with pytest.raises(DataError, match="none of the 32 pool images is relevant"):
        ask(keep=None)


def test_clusters_take_turns_nearest_first() -> None:
    """Sizes 4, 2 and 1: the first of each, then the second of the two larger ones, then the rest of the first."""
    cluster_of = np.array([0, 0, 0, 0, 1, 1, 2], np.int32)
    nearness = np.array([0.1, 0.9, 0.5, 0.5, -0.2, 0.3, -1.0], np.float32)
    content = np.array([1, 2, 4, 3, 5, 6, 7], np.uint64)
    scores = cluster.turns(cluster_of, nearness, content)
    assert ranking.descending(scores).tolist() == [1, 5, 6, 3, 4, 2, 0]
    for keep, shares in ((0.4, [1, 1, 1]), (0.7, [2, 2, 1]), (1.0, [4, 2, 1])):  # 3, 5 and 7 images
        assert np.bincount(cluster_of[ranking.select(scores, keep).indices], minlength=3).tolist() == shares


def test_cluster_keeps_an_equal_share_of_unequal_groups(tmp_path: Path) -> None:
    """24 dark and 8 bright images in two clusters: a quarter of the pool is four of each."""
    rng = np.random.default_rng(0)
    for number in range(32):
        level = 40 if number < 24 else 210
        picture = np.clip(level + rng.integers(-12, 13, (*SIZE, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{number:02d}.png")
    pool = HiddenSplit(tmp_path, [f"{n:02d}.png" for n in range(32)], np.full(32, -1), [""] * 32)

    def ask(name: str, **params: Any) -> Selection:
        return cluster.select(context(pool, tmp_path / name, ClusterParams(**params), proxy=network()))

    selection = ask("a", clusters=2, keep=0.25)
    assert np.bincount(selection.indices >= 24).tolist() == [4, 4]
    facts = json.loads((tmp_path / "a" / "facts.json").read_text())
    assert sorted(facts["clusters"]["images"]) == [8, 24]
    assert facts["clusters"]["kept"] == [4, 4]
    assert facts["uses_target_labels"] is False
    larger = ask("b", clusters=2, keep=0.75)  # the smaller cluster is used up
    assert np.bincount(larger.indices >= 24).tolist() == [16, 8]
    assert set(selection.indices) < set(larger.indices)
    sampled = ask("c", clusters=2, keep=0.25, sample=16)
    assert np.bincount(sampled.indices >= 24).tolist() == [4, 4]
    with pytest.raises(DataError, match="lower clusters"):
        ask("d", clusters=32)


# ---------------------------------------------------------------------- memory
def test_a_pass_holds_batches_and_a_few_numbers_per_image(tmp_path: Path) -> None:
    """2000 images of 32x16 are 3.1 MB of pixels; a pass of batches of 16 (25 kB) needs far less."""
    Image.fromarray(np.full((*SIZE, 3), 90, np.uint8)).save(tmp_path / "one.png")
    pool = HiddenSplit(tmp_path, ["one.png"] * 2000, np.full(2000, -1), [""] * 2000)

    def measure(pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (pixels.float().mean((1, 2, 3)),)

    ctx = context(pool, tmp_path / "out")
    measure_pool(context(pool.subset(range(64)), tmp_path / "first"), measure, 16, score=np.float32)
    tracemalloc.start()
    try:
        columns = measure_pool(ctx, measure, 16, score=np.float32)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert columns.arrays["score"].tolist() == [90.0] * 2000
    assert peak < 600_000


def test_memory_per_score_is_bounded(tmp_path: Path) -> None:
    """Selecting and writing needs an order (8 bytes), sort keys and marks of kept images, not the text of all rows."""
    count = 60_000
    rng = np.random.default_rng(0)
    scores = rng.random(count, np.float32)
    content = rng.integers(2**63, size=count, dtype=np.uint64)
    ranking.write_list(tmp_path, ranking.select(scores[:100], 0.5, tie_break=content[:100]), content[:100], "first")
    tracemalloc.start()
    try:
        selection = ranking.select(scores, 0.5, tie_break=content)
        ranking.write_list(tmp_path, selection, content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000 + 40 * count
    assert (tmp_path / "list.csv").read_bytes().count(b"\n") == count + 1


# ---------------------------------------------------------------------- the whole harness
NESTED = {
    "moco-v2": "{use: moco-v2, epochs: 1, batch: 8, splits: 2, queue: 24, dim: 16, lr: 0.05, held_out: 0}",
    "bot": "{use: bot, epochs: 2, identities: 2, images: 2, lr: 0.01, warmup: 0}",
    "none": "none",
}
MATRIX = """
image_size: [32, 16]
pretrain_seeds: [3]
data: {{persons: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{source: persons, target: persons, pool: persons}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods:
{methods}
"""


def method(select: str) -> str:
    return f"{{select: {select}, pretrain: {NESTED['moco-v2']}, finetune: none}}"


def cfs_with(target: str, **params: Any) -> str:
    more = "".join(f", {name}: {value}" for name, value in params.items())
    return method(f"{{use: cfs, proxy: {NESTED['moco-v2']}, target_proxy: {NESTED[target]}{more}}}")


@pytest.mark.slow
def test_the_proxies_are_stages_and_the_target_proxy_starts_from_the_source_proxy(tmp_path: Path, market: Path) -> None:
    """The source proxy sees the whole pool; the target proxy starts at distance 0 from it, and does not change it."""
    methods = {
        "untouched": cfs_with("none"),
        "labels": cfs_with("bot"),
        "self-supervised": cfs_with("moco-v2"),
        "few": cfs_with("bot", keep=0.75),
        "all": method("all"),
        "whole": f"{{pretrain: {NESTED['moco-v2']}, finetune: none}}",
        "random": method("{use: random, keep: 0.75}"),
    }
    lines = "\n".join(f"  {name}: {text}" for name, text in methods.items())
    board = run_matrix(MATRIX.format(market=market, methods=lines), tmp_path)
    assert {(result.status, result.error) for result in board.results} == {("ok", "")}
    protocol = {result.row.method: result.row.protocol for result in board.results}
    assert {name for name, words in protocol.items() if "target-labels" in words} == {"labels", "few"}
    store = Store(tmp_path / "store")
    found, trained = {}, {}
    for key in store.keys():  # noqa: SIM118 - a method, not a mapping
        artifact = store.read(key)  # which checks every file against its checksum: nothing was touched
        if artifact.manifest["stage"]["use"] == "cfs":
            facts = json.loads((artifact.path / "facts.json").read_text())
            scores = np.load(artifact.path / "selection.npz")["scores"]
            found[facts["target_proxy"]["use"], facts["kept"]["share"]] = facts, scores, artifact
        elif artifact.manifest["stage"]["kind"] == "pretrain" and artifact.manifest["stage"]["seed"] == 3:
            selected = dict(artifact.manifest["stage"]["parents"]).get("select")
            use = store.manifest(selected).manifest["stage"]["use"] if selected else "none"
            trained[use] = (artifact.path / "backbone.safetensors").read_bytes()
    assert trained["all"] == trained["none"]  # the selector `all` has no effect, bit for bit
    assert trained["random"] != trained["all"]
    assert found.keys() == {("none", 0.5), ("bot", 0.5), ("moco-v2", 0.5), ("bot", 0.75)}
    assert np.abs(found["none", 0.5][1] - 1).max() < 1e-6
    assert found["bot", 0.5][1].max() < 1 - 1e-6
    assert found["moco-v2", 0.5][1].max() < 1 - 1e-6
    assert np.array_equal(found["bot", 0.5][1], found["bot", 0.75][1])
    facts, _, artifact = found["bot", 0.5]
    assert facts["target"] == ["persons"]
    parents = dict(artifact.manifest["stage"]["parents"])
    tuned = store.read(parents["prepared.target_proxy"]).manifest["stage"]
    assert [tuple(parent) for parent in tuned["parents"]] == [("pretrain", parents["prepared.proxy"])]
    source = store.read(parents["prepared.proxy"]).manifest["stage"]
    assert source["kind"] == "pretrain"
    assert source["parents"] == []  # no selection before it: it sees the whole pool
    assert {dict(one[2].manifest["stage"]["parents"])["prepared.proxy"] for one in found.values()} == {
        parents["prepared.proxy"]
    }


def test_the_papers_proxies_are_the_defaults_whatever_the_recipes_network(
    matrix: Callable[..., Path], registry: Registry
) -> None:
    """A plain ViT-S, 20 epochs on the whole pool, then 120 with labels; also for a recipe with another network."""
    pre = "{use: moco-v2, batch: 8, splits: 2}"
    file = matrix(
        tasks="{t: {source: tiny, target: tiny, pool: tiny}}",
        methods=f"{{m: {{select: cfs, pretrain: {pre}, finetune: none}}}}",
    )
    stages = plan.expand(reader.read(file, registry)).stages.values()
    found = {(stage.kind, stage.use): stage for stage in stages}
    source, target = found["pretrain", "dino"], found["finetune", "transreid"]
    assert (source.params["epochs"], target.params["epochs"]) == (20, 120)
    for proxy in (source, target):
        assert proxy.backbone is not None
        assert proxy.backbone["use"] == "vit-small"
        assert proxy.backbone["params"]["stem"] == "patchify"
    assert target.parents == (("pretrain", source.key),)
    recipe = found["pretrain", "moco-v2"].backbone
    assert recipe is not None
    assert recipe["use"] == "resnet-tiny"


@pytest.mark.slow
def test_proxies_of_another_network_and_of_several_targets(tmp_path: Path, market: Path) -> None:
    """The list of ViT-S proxies serves other networks; the official one was trained on two targets."""
    wide = NESTED["moco-v2"].replace("{", "{backbone: {use: resnet-tiny, width: 8}, ", 1)
    tuned = NESTED["bot"].replace("{", "{data: auxiliary, ", 1)
    other = write_market_folder(tmp_path / "other", identities=3)
    text = MATRIX.format(
        market=market, methods="  m: " + method(f"{{use: cfs, proxy: {wide}, target_proxy: {tuned}}}")
    ).replace("data: {", f"data: {{other: {{use: market-folder, root: {other}}}, ")
    text = text.replace("pool: persons}", "pool: persons, auxiliary: [persons, other]}")
    board = run_matrix(text, tmp_path)
    assert [(result.status, result.error) for result in board.results] == [("ok", "")]
    assert {"target-labels", "auxiliary"} <= set(board.results[0].row.protocol.split(", "))
    store = Store(tmp_path / "store")
    stages = {}
    for key in store.keys():  # noqa: SIM118 - a method, not a mapping
        artifact = store.read(key)
        stages[artifact.manifest["stage"]["use"], artifact.manifest["stage"]["seed"]] = artifact
    width = {use: artifact.manifest["stage"]["backbone"]["params"]["width"] for (use, _), artifact in stages.items()
             if artifact.manifest["stage"]["backbone"]}  # fmt: skip
    assert width["bot"] == 8  # the target proxy starts from the source proxy
    assert {seed: artifact.manifest["stage"]["backbone"]["params"]["width"]
            for (use, seed), artifact in stages.items() if use == "moco-v2"} == {0: 8, 3: 4}  # fmt: skip
    assert [given["data"] for given in stages["bot", 0].manifest["stage"]["data"]] == ["persons", "other"]
    facts = json.loads((stages["cfs", 0].path / "facts.json").read_text())
    assert facts["target"] == ["persons", "other"]
    assert facts["target_proxy"]["data"] == "auxiliary"
    assert facts["proxy"]["backbone"]["width"] == 8


@pytest.mark.parametrize(
    ("select", "words"),
    [
        ("{use: cfs, proxy: {use: dino, backbone: vit-smal}}", "unknown backbone 'vit-smal'"),
        ("{use: cfs, target_proxy: {use: transreid, data: source}}", "must be auxiliary, or omitted for the target"),
    ],
)
def test_networks_and_data_of_proxies_that_are_not_there(
    select: str, words: str, matrix: Callable[..., Path], registry: Registry
) -> None:
    with pytest.raises(ConfigError) as caught:
        reader.read(matrix(methods=f"{{m: {{select: {select}, pretrain: moco-v2, finetune: none}}}}"), registry)
    assert words in "\n".join(caught.value.problems)


def test_a_merged_target_that_the_task_does_not_name(matrix: Callable[..., Path], registry: Registry) -> None:
    file = matrix(
        tasks="{t: {source: tiny, target: tiny, pool: tiny}}",
        methods="{m: {select: {use: cfs, target_proxy: {use: transreid, data: auxiliary}}, pretrain: moco-v2, "
        "finetune: none}}",
    )
    (row,) = plan.expand(reader.read(file, registry)).rows
    assert (row.key, row.reason) == (None, "transreid needs auxiliary data, and the task has none")
