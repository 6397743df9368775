"""Searches run in a store: who wins, what rows become of it, and that nothing is learnt from the test part."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reidbench import report
from reidbench.components import Metric
from reidbench.execution import executors
from reidbench.execution.runner import Runner
from reidbench.matrix.benchmark import Benchmark
from reidbench.matrix.plan import expand
from reidbench.matrix.search import Tuned
from reidbench.matrix.stage import Plan, Row
from reidbench.store.artifacts import Store
from reidbench.testing import write_market_folder
from reidbench.tuning.resolve import Resolved, Searched, settle
from tests.support.pictures import blurred

EPOCHS = "{m: {finetune: {use: toy, search: {epochs: [1, 2, 3]}, select: %s}}}"


def rows(plan: Plan, method: str) -> list[Row]:
    return [row for row in plan.rows if row.method == method]


def only_search(resolved: Resolved) -> Searched:
    (found,) = resolved.searches
    return found


def by_hand(lab: Any, **changes: str) -> Benchmark:
    """The row with its values written out."""
    written = ", ".join(f"{name}: {value}" for name, value in changes.items())
    found: Benchmark = lab.read(f"{{m: {{finetune: {{use: toy, {written}}}}}}}")
    return found


# ---------------------------------------------------------------------- who wins
def test_the_winner_has_the_best_value_and_its_row_is_the_one_written_by_hand(lab: Any) -> None:
    resolved = lab.settle(lab.read(EPOCHS % "source-val"))
    found = only_search(resolved)
    assert [trial.values for trial in found.trials] == [{"finetune.epochs": epochs} for epochs in (1, 2, 3)]
    scores = [lab.store.manifest(trial.rows[0].key).metrics["mAP"] for trial in found.trials]
    assert [trial.score for trial in found.trials] == scores
    assert len(set(scores)) > 1  # else anyone would win
    best = scores.index(max(scores))
    assert found.winner is found.trials[best]
    (row,) = rows(resolved.plan, "m (tuned)")
    (written,) = rows(expand(by_hand(lab, epochs=str(best + 1))), "m")
    assert row.key == written.key
    assert row.protocol == "source labels, chosen on held-out identities (3 trials), AP step"
    assert row.notes[1].startswith(
        "data tiny (50 % of identities held out): held out for validation: 4 of 8 identities"
    )


def test_of_equal_trials_the_earlier_wins(lab: Any) -> None:
    """The toy ignores words that it does not know, so that all trials are the same training."""
    resolved = lab.settle(lab.read("{m: {finetune: {use: toy, search: {fail: [z, y, x]}, select: oracle}}}"))
    found = only_search(resolved)
    assert len({trial.score for trial in found.trials}) == 1
    assert found.winner is found.trials[0]
    (row,) = rows(resolved.plan, "m (tuned)")
    assert "; 3 trials have this value, and the first of them was taken; the trials took" in row.notes[0]


def test_where_less_is_better_the_least_value_wins(lab: Any) -> None:
    benchmark = lab.read(EPOCHS % "source-val")
    most = only_search(lab.settle(benchmark))
    (judge,) = benchmark.evaluate
    metrics = (Metric("mAP", better="lower", unit="%", range=(0, 1)),)
    lower = replace(judge, component=replace(judge.component, metrics=metrics))
    least = only_search(lab.resolve(replace(benchmark, evaluate=(lower,))))
    assert least.winner is not None
    assert least.winner.score == min(trial.score for trial in most.trials)


# The world has no modality labels, so no evaluator with `cross: modality` can judge its trials.
CROSS = "{use: cosine, cross: modality, camera: none}"


@pytest.mark.parametrize("select", ["source-val", "oracle"])
def test_the_first_evaluator_that_can_judge_the_data_judges(lab: Any, select: str) -> None:
    methods = f"{{m: {{finetune: {{use: colour-histogram, search: {{bins: [2, 4]}}, select: {select}}}}}}}"
    evaluate = f"[{CROSS}, {{use: cosine, camera: none}}, {{use: cosine, ap: trapezoid}}]"
    benchmark = lab.read(methods, evaluate=evaluate)
    resolved = lab.settle(benchmark)
    found = only_search(resolved)
    second = "cosine(camera=none)"
    assert {row.evaluator for trial in found.trials for row in trial.rows} == {second}
    assert found.winner is not None
    assert [(row.evaluator, row.key is None) for row in rows(resolved.plan, "m (tuned)")] == [
        ("cosine(camera=none, cross=modality)", True),
        (second, False),
        ("cosine(ap=trapezoid)", False),
    ]


def test_where_no_evaluator_can_judge_the_row_says_why(lab: Any) -> None:
    methods = "{m: {finetune: {use: colour-histogram, search: {bins: [2, 4]}, select: source-val}}}"
    resolved = lab.settle(lab.read(methods, evaluate=f"[{CROSS}, {{use: cosine, pool: mean}}]"))
    for row in rows(resolved.plan, "m (tuned)"):
        assert row.key is None
        assert "needs modality labels, which tiny (50 % of identities held out) does not have" in row.reason
        assert "needs tracklet labels, which tiny (50 % of identities held out) does not have" in row.reason


def test_a_trial_of_several_seeds_has_their_mean(lab: Any) -> None:
    methods = "{m: {finetune: {use: toy, search: {epochs: [1, 2]}, select: oracle, search_seeds: 2}}}"
    resolved = lab.settle(lab.read(methods, seeds="[4, 7, 9]"))
    for trial in only_search(resolved).trials:
        assert set(trial.scores) == {4, 7}
        values = [lab.store.manifest(row.key).metrics["mAP"] for row in trial.rows]
        assert trial.score == pytest.approx(sum(values) / 2, abs=1e-12)
    assert [row.seed for row in rows(resolved.plan, "m (tuned)")] == [4, 7, 9]


def test_a_failed_trial_is_named_and_never_wins(lab: Any) -> None:
    resolved = lab.settle(lab.read("{m: {finetune: {use: toy, search: {fail: [raise, none, fine]}, select: oracle}}}"))
    found = only_search(resolved)
    assert [trial.status for trial in found.trials] == ["failed", "failed", "done"]
    assert found.winner is found.trials[2]
    (row,) = rows(resolved.plan, "m (tuned)")
    note = row.notes[0]
    assert "2 failed and could not be chosen: trial 1: finetune toy" in note
    assert "it went wrong" in note


def test_a_row_whose_trials_all_fail_fails_with_the_reason(lab: Any) -> None:
    resolved = lab.settle(lab.read("{m: {finetune: {use: toy, search: {fail: [raise, none]}, select: oracle}}}"))
    (row,) = rows(resolved.plan, "m (tuned)")
    assert (row.key, row.lacks) == (None, "failed")
    assert row.reason.startswith("all 2 trials of its search failed, the first: finetune toy")
    (result,) = (one for one in report.collect(resolved.plan, lab.store).results if one.row == row)
    assert (result.status, result.error) == ("failed", row.reason)


# ---------------------------------------------------------------------- what runs
def test_before_its_trials_have_run_a_row_is_missing(lab: Any) -> None:
    resolved = lab.resolve(lab.read(EPOCHS % "source-val"))
    (row,) = rows(resolved.plan, "m (tuned)")
    assert (row.key, row.lacks, row.reason) == (None, "missing", "its search has 0 of 3 trials")
    assert len(resolved.to_run()) == 3
    (result,) = (one for one in report.collect(resolved.plan, lab.store).results if one.row == row)
    assert result.status == "missing"


def test_a_finished_search_runs_nothing_again(lab: Any) -> None:
    benchmark = lab.read(EPOCHS % "source-val")
    lab.settle(benchmark)
    lab.ran.clear()
    assert lab.resolve(benchmark).to_run() == []
    lab.settle(benchmark)
    assert lab.ran == []


def test_only_restricts_searches_but_for_those_that_an_ensemble_needs(lab: Any) -> None:
    methods = (
        "{a: {finetune: {use: toy, search: {epochs: [1, 2]}, select: oracle}}, b: {finetune: none}, "
        "c: {finetune: {use: toy, search: {epochs: [3, 4]}, select: oracle}}, both: {ensemble: [a (tuned), b]}}"
    )
    resolved = lab.resolve(lab.read(methods))
    wanted = (["a"], ["a (tuned)"], ["both"], ["*(tuned)"], [], ["a", "c (tuned)"])
    assert [len(resolved.to_run(only)) for only in wanted] == [0, 2, 2, 4, 4, 2]
    done = lab.settle(lab.read(methods), ["both"])
    (row,) = rows(done.plan, "both")
    assert row.key is not None
    assert "chosen on test labels" in row.protocol
    (other,) = rows(done.plan, "c (tuned)")
    assert other.reason == "its search has 0 of 2 trials"


def test_a_chosen_pre_training_has_the_seeds_of_the_file(lab: Any) -> None:
    """The row as written has none, so it would have seed 0, which is not in the file."""
    row = "{finetune: toy, search: {pretrain: [{use: moco-v2, epochs: 1}, moco-v2]}, select: oracle}"
    benchmark = lab.read(
        f"{{m: {row}}}", pretrain_seeds="[5, 6]", tasks="{tiny: {source: tiny, target: tiny, pool: tiny}}"
    )
    plain, searched = benchmark.methods
    recipe = replace(
        searched.search.row({"pretrain": {"use": "moco-v2", "epochs": 1}}), name=searched.name, search=None
    )
    filled = replace(benchmark, methods=(plain, replace(searched, tuned={"tiny": Tuned(recipe)})))
    found = {(row.method, row.pretrain_seed) for row in expand(filled).rows}
    assert found == {("m", None), (searched.name, 5), (searched.name, 6)}


def test_values_that_do_not_go_together_are_a_failed_trial(lab: Any) -> None:
    """bot refuses to look at every second epoch where it has no patience that would end it."""
    step = "{use: bot, search: {validate_every: [1, 2], patience: [0, 5]}, select: oracle}"
    found = only_search(lab.resolve(lab.read(f"{{m: {{finetune: {step}}}}}")))
    assert [trial.status for trial in found.trials] == ["missing", "missing", "failed", "missing"]
    assert "validate_every requires `choose_epoch: best`" in found.trials[2].error


# ---------------------------------------------------------------------- how trials are judged
def test_an_oracle_is_said_and_never_ranked(lab: Any) -> None:
    resolved = lab.settle(lab.read(EPOCHS % "oracle", seeds="[0, 1, 2]"))
    lab.execute(resolved.plan)
    board = report.collect(resolved.plan, lab.store)
    (protocol,) = {result.row.protocol for result in board.results if result.row.method == "m (tuned)"}
    assert "chosen on test labels" in protocol.split(", ")
    text = report.write(board, "md")
    assert "Never ranked, because chosen on test labels: m (tuned)." in text
    line = next(line for line in text.splitlines() if line.startswith("| m (tuned)"))
    assert "**" not in line


def test_without_labels_the_features_of_hidden_train_images_judge(lab: Any) -> None:
    """Each trial is one stage behind the very embedder that the tuned row has; nothing has a test part."""
    methods = "{m: {finetune: {use: toy, search: {epochs: [1, 2]}, select: {unsupervised: snd}}}}"
    resolved = lab.settle(lab.read(methods))
    found = only_search(resolved)
    stages = resolved.trials.stages
    for trial in found.trials:
        (row,) = trial.rows
        assert stages[row.key or ""].kind == "criterion"
        assert [(one.part, one.hidden) for one in stages[row.key or ""].data] == [("train", True)]
        assert trial.score == lab.store.manifest(row.key).metrics["snd"]
    assert {stage.kind for stage in stages.values()} == {"data", "finetune", "criterion"}
    assert found.winner is not None
    (row,) = rows(resolved.plan, "m (tuned)")
    trained = {key for key, stage in resolved.plan.stages.items() if stage.kind == "finetune"}
    (winner,) = found.winner.rows
    assert {key for _, key in stages[winner.key or ""].parents} <= trained
    assert "target images, chosen by snd without labels (2 trials)" in row.protocol


def test_a_criterion_that_has_no_value_is_a_failed_trial(lab: Any) -> None:
    """Sixteen images of an untrained network form no clusters, and have no silhouette."""
    methods = "{m: {finetune: {use: toy, search: {epochs: [1, 2]}, select: unsupervised}}}"
    found = only_search(lab.settle(lab.read(methods)))
    assert [trial.status for trial in found.trials] == ["failed", "failed"]
    assert found.trials[0].error.startswith(
        "criterion silhouette of m (tuned) #1 -> tiny [seed 0]: the silhouette requires two clusters, but there is"
    )


def test_a_third_data_set_judges(lab: Any, market: Path, tmp_path: Path) -> None:
    other, third = (write_market_folder(tmp_path / name, identities=4 + n) for n, name in enumerate(("o", "t"), 1))
    names = {"tiny": market, "other": other, "third": third}
    data = ", ".join(f"{name}: {{use: market-folder, root: {root}}}" for name, root in names.items())
    parts = {"data": f"{{{data}}}", "tasks": "{t: {source: tiny, target: other}}", "validate": "{data: third}"}
    resolved = lab.resolve(lab.read(EPOCHS % "held-out-domain", **parts))
    tested = {one.data for stage in resolved.trials.stages.values() for one in stage.data if one.part == "test"}
    assert tested == {"third"}
    assert len(resolved.to_run()) == 3


def test_data_with_test_images_of_the_target_do_not_judge(lab: Any, market: Path, tmp_path: Path) -> None:
    """`copy` lacks one image of `other`, so the two have different contents; no trial is run, and the row says why."""
    other = blurred(write_market_folder(tmp_path / "other", identities=5))
    shutil.copytree(other, tmp_path / "copy")
    next((tmp_path / "copy" / "query").iterdir()).unlink()
    names = {"tiny": market, "other": other, "copy": tmp_path / "copy"}
    data = ", ".join(f"{name}: {{use: market-folder, root: {root}}}" for name, root in names.items())
    parts = {"data": f"{{{data}}}", "tasks": "{t: {source: tiny, target: other}}", "validate": "{data: copy}"}
    benchmark = lab.read(EPOCHS % "held-out-domain", **parts)
    assert len(lab.resolve(benchmark).to_run()) == 3  # before any image was read
    resolved = lab.settle(benchmark)
    assert [{stage.kind for stage in plan.stages.values()} for plan in lab.ran] == [{"data"}]
    (row,) = rows(resolved.plan, "m (tuned)")
    queries, gallery = (len(list((other / part).iterdir())) for part in ("query", "bounding_box_test"))
    assert (row.key, row.lacks) == (None, "not-applicable")
    assert row.reason == (
        f"`validate: {{data: copy}}`: data copy contains {queries - 1} of {queries} query images and {gallery} of "
        f"{gallery} gallery images of other (identical files); validate on data without them"
    )


def test_a_sequence_is_not_searched(lab: Any, market: Path, tmp_path: Path) -> None:
    """Else its tasks would have several trainings, and forgetting would compare one with another."""
    other = write_market_folder(tmp_path / "other", identities=5)
    data = f"{{tiny: {{use: market-folder, root: {market}}}, other: {{use: market-folder, root: {other}}}}}"
    parts = {"data": data, "tasks": "{s: {sequence: [tiny, other]}, t: {source: tiny, target: other}}"}
    resolved = lab.resolve(lab.read(EPOCHS % "source-val", **parts))
    reasons = {row.task: row.reason for row in rows(resolved.plan, "m (tuned)")}
    assert len(reasons) == 4
    assert {reason for task, reason in reasons.items() if task != "t"} == {
        "a search chooses values for each task, but the tasks of a sequence share one training; write the values"
    }
    assert len(resolved.to_run()) == 3


@pytest.mark.parametrize("select", ["source-val", "{unsupervised: snd}"])
@pytest.mark.parametrize("task", ["{source: tiny, target: tiny}", "{source: tiny, target: tiny, adapt_on: test}"])
def test_no_trial_is_given_the_test_part(select: str, task: str, lab: Any) -> None:
    row = f"{{finetune: toy, adapt: plain, search: {{finetune.epochs: [1, 2]}}, select: {select}}}"
    resolved = lab.resolve(lab.read(f"{{m: {row}}}", tasks=f"{{t: {task}}}"))
    real = {stage.key for stage in resolved.plan.stages.values() if stage.kind == "data"}
    assert resolved.trials.stages
    for stage in resolved.trials.stages.values():
        assert not [one for one in stage.data if one.part == "test" and one.key in real], stage.label


def test_poisoned_test_labels_and_images_move_no_choice(lab: Any) -> None:
    """Test images become noise under other persons' names: trials have the same values, and the same one wins."""
    before = only_search(lab.settle(lab.read(EPOCHS % "source-val")))
    _poison(lab.root)
    after = only_search(lab.settle(lab.read(EPOCHS % "source-val")))
    assert [trial.rows[0].key for trial in before.trials] != [trial.rows[0].key for trial in after.trials]
    assert [trial.scores for trial in after.trials] == [trial.scores for trial in before.trials]
    assert (after.winner and after.winner.number) == (before.winner and before.winner.number)


def _poison(root: Path) -> None:
    """Other bytes and other persons in query and gallery, which stay pictures with valid names."""
    import numpy as np
    from PIL import Image

    drawn = np.random.default_rng(0)
    for folder in ("query", "bounding_box_test"):
        for file in sorted((root / folder).glob("*.png")):
            noise = drawn.integers(0, 256, np.asarray(Image.open(file)).shape).astype(np.uint8)
            pid, _, rest = file.name.partition("_")
            file.unlink()
            Image.fromarray(noise).save(
                root / folder / f"{9000 + int(pid) % 2:04d}_{rest.replace('.png', f'{pid}.png')}"
            )


# ---------------------------------------------------------------------- rounds
def test_rounds_are_of_four_trials_each_after_the_last(lab: Any) -> None:
    pytest.importorskip("optuna")
    step = "{use: toy, search: {seconds: {uniform: [0.0, 0.01]}}, select: oracle, sampler: tpe, trials: 6}"
    benchmark = lab.read(f"{{m: {{finetune: {step}}}}}")
    assert len(only_search(lab.resolve(benchmark)).trials) == 4
    found = only_search(lab.settle(benchmark))
    assert (len(found.trials), len(lab.ran)) == (6, 2)
    assert found.winner is not None


def test_rounds_do_not_depend_on_how_many_run_at_once(lab: Any, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    step = "{use: toy, search: {epochs: {int: [1, 6]}}, select: source-val, sampler: tpe, trials: 6}"
    benchmark = lab.read(f"{{m: {{finetune: {step}}}}}")
    found = []
    for jobs in (1, 3):
        store = Store(tmp_path / f"jobs-{jobs}")

        def run(plan: Plan, jobs: int = jobs, store: Store = store) -> None:
            Runner(plan, store, executors.make("process", jobs), lab.display, lab.registry.disabled).run()

        trials = only_search(settle(benchmark, store, run)).trials
        found.append([(trial.values, trial.scores) for trial in trials])
    assert found[0] == found[1]
    assert len(found[0]) == 6
