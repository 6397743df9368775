"""Several stores are read as one: the first that has an artifact gives it, and what differs is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from reidbench.errors import StoreError
from reidbench.store.artifact import DamagedArtifact
from reidbench.store.artifacts import Store
from reidbench.store.several import NAMED, Stores, open_stores

KEYS = ("a" * 32, "b" * 32, "c" * 32)


def publish(store: Store, key: str, text: str = "content", **metrics: float) -> None:
    with store.publishing(key) as (folder, manifest):
        (folder / "file").write_text(text)
        manifest["stage"] = {"kind": "evaluate", "use": "cosine", "label": f"evaluate {key[:1]}"}
        manifest["metrics"] = metrics


def pair(folder: Path) -> tuple[Store, Store, Store]:
    """Two stores on disk, and both as one."""
    one, two = Store(folder / "one"), Store(folder / "two")
    for store in (one, two):
        store.prepare()
    return one, two, open_stores([one.root, two.root])


def test_all_artifacts_of_both_are_there(tmp_path: Path) -> None:
    one, two, both = pair(tmp_path)
    publish(one, KEYS[0], mAP=0.1)
    publish(two, KEYS[1], mAP=0.2)
    two.record_failure(KEYS[2], "no memory", died=True)
    assert both.keys() == set(KEYS[:2])
    assert [both.has(key) for key in KEYS] == [True, True, False]
    assert both.roots == [one.root, two.root]
    for key, store, value in ((KEYS[0], one, 0.1), (KEYS[1], two, 0.2)):
        assert both.path(key) == store.path(key)
        assert both.read(key).path == both.manifest(key).path == store.path(key)
        assert both.facts(key, ("metrics",)) == {"metrics": {"mAP": value}}
        artifact, found = both.with_facts(key, ("metrics",))
        assert artifact.path == store.path(key)
        assert found == {"metrics": {"mAP": value}}
        assert both.glance(key) == store.glance(key) is not None
    for read in (both.read, both.manifest, lambda key: both.facts(key, ("metrics",))):
        with pytest.raises(KeyError):
            read(KEYS[2])
    assert (both.failure(KEYS[2]), both.died(KEYS[2]), both.died(KEYS[0])) == ("no memory", True, False)
    assert isinstance(both, Stores)
    assert both.conflicts() == []


def test_the_first_wins_and_the_difference_is_named(tmp_path: Path) -> None:
    one, two, both = pair(tmp_path)
    publish(one, KEYS[0], "x", mAP=0.25, cmc1=0.5)
    publish(two, KEYS[0], "y", mAP=0.75, cmc1=0.5)
    for store in (one, two):
        publish(store, KEYS[1], "same", mAP=0.5)
    assert isinstance(both, Stores)
    assert both.conflicts() == []  # nothing was read yet
    for key in KEYS[:2] * 2:
        assert both.read(key).metrics["mAP"] == one.read(key).metrics["mAP"]
    assert both.conflicts() == [
        f"evaluate a ({KEYS[0]}): {one.root} and {two.root} differ in mAP (0.25, 0.75); file file; "
        f"that of {one.root} is used"
    ]
    turned = open_stores([two.root, one.root])
    assert turned.facts(KEYS[0], ("metrics",))["metrics"]["mAP"] == 0.75


def test_a_whole_copy_stands_in_for_a_damaged_one(tmp_path: Path) -> None:
    one, two, both = pair(tmp_path)
    for store in (one, two):
        publish(store, KEYS[0], mAP=0.5)
    (one.path(KEYS[0]) / "file").write_text("damaged")
    assert both.read(KEYS[0]).path == two.path(KEYS[0])
    (two.path(KEYS[0]) / "file").write_text("damaged too")
    with pytest.raises(DamagedArtifact, match=str(one.root)):
        both.read(KEYS[0])


def test_of_very_many_conflicts_some_are_named_and_all_counted(tmp_path: Path) -> None:
    one, two, both = pair(tmp_path)
    keys = [f"{number:032x}" for number in range(NAMED + 3)]
    for key in keys:
        publish(one, key, mAP=0.25)
        publish(two, key, mAP=0.75)
        both.manifest(key)
    assert isinstance(both, Stores)
    said = both.conflicts()
    assert len(said) == NAMED + 1
    assert said[-1] == "3 more artifacts differ between the stores"


def test_what_is_kept_beside_artifacts_is_that_of_all(tmp_path: Path) -> None:
    one, two, both = pair(tmp_path)
    two.save_board({"title": "first"}, "2026-01-01T00:00:00Z")
    one.save_board({"title": "second"}, "2026-01-02T00:00:00Z")
    two.save_board({"title": "second"}, "2026-01-03T00:00:00Z")
    assert [board.board["title"] for board in both.boards()] == ["first", "second"]
    digest = two.keep_environment({"torch": "2.6"})
    assert both.environment(digest) == {"torch": "2.6"}
    assert both.environment("0" * 32) is None
    publish(one, KEYS[0], mAP=0.5)
    two.keep_record(KEYS[0], (one.path(KEYS[0]) / "manifest.json").read_text())
    turned = open_stores([two.root, one.root])
    assert turned.records() == both.records() == {KEYS[0]}
    for store in (both, turned):  # a manifest alone is not an artifact, and the same one not a conflict
        assert store.keys() == {KEYS[0]}
        assert store.read(KEYS[0]).path == one.path(KEYS[0])
        assert store.manifest(KEYS[0]).metrics == {"mAP": 0.5}
        assert isinstance(store, Stores)
        assert store.conflicts() == []


def test_nothing_is_written_to_several(tmp_path: Path) -> None:
    one, two, both = pair(tmp_path)
    publish(one, KEYS[0], mAP=0.5)
    before = sorted(tmp_path.rglob("*"))
    for write in (both.prepare, both.scratch, both.set_aside, both.log, both.spec_file, both.forget_failure):
        with pytest.raises(StoreError, match="several stores are read-only; merge them first: `reidbench merge "):
            write(*([] if write == both.prepare else [KEYS[0]]))  # type: ignore[operator]
    assert sorted(tmp_path.rglob("*")) == before
    assert two.keys() == set()


def test_one_store_named_twice_is_one(tmp_path: Path) -> None:
    one, two, _ = pair(tmp_path)
    (tmp_path / "link").symlink_to(one.root)
    assert type(open_stores([one.root, tmp_path / "link"])) is Store
    assert open_stores([one.root, two.root, tmp_path / "link"]).roots == [one.root, two.root]


def test_one_of_several_must_be_there(tmp_path: Path) -> None:
    one, _, _ = pair(tmp_path)
    assert open_stores([tmp_path / "new"]).keys() == set()  # a run may make it
    with pytest.raises(StoreError, match="nowhere: no such folder"):
        open_stores([one.root, tmp_path / "nowhere"])
