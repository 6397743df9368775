"""Splits of the small sets, drawn by a rule."""

from __future__ import annotations

from reidbench_datasets import splits


def test_split_files_are_what_their_rule_says_and_halve_the_persons_but_for_871_of_cuhk01() -> None:
    for name, persons in splits.PERSONS.items():
        assert (splits.FOLDER / f"{name}.txt").read_text() == splits.file_text(name)
        chosen = [splits.training_persons(name, split, persons) for split in range(splits.SPLITS)]
        assert {len(set(split)) for split in chosen} == {871 if name == "cuhk01-871" else persons // 2}
        assert len({tuple(split) for split in chosen}) == splits.SPLITS
    assert splits.training_persons("prid2011", 0, 200)[:5] == splits.drawn("prid2011", 0)[:5]
