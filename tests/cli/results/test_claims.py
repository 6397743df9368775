"""`reidbench claims` on files and packs: verdicts, when the claims were there, the page, Python, and bad files."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import reidbench
from benchmarks import tables
from reidbench.cli import main
from reidbench.cli.end import exit_code
from reidbench.errors import ReidbenchError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.packs.lasting import dated
from reidbench.packs.recorded import record, recorded_plan
from reidbench.registry.plugins import Registry
from reidbench.report.claims import timing
from reidbench.report.claims.pairs import trainings
from reidbench.report.claims.verdicts import judge
from reidbench.store.artifacts import Store
from reidbench.testing import write_market_folder

pytestmark = pytest.mark.slow

QUICKSTART = Path(__file__).parents[3] / "benchmarks" / "results" / "packs" / "quickstart.zip"
EVIL = "<b>bold</b>"
TEXT = """
title: Claimed
image_size: [32, 16]
seeds: [0, 1, 2]
claim_rule: {{alpha: 0.1, effect: 2}}
data: {{tiny: {{use: market-folder, root: {tiny}}}, other: {{use: market-folder, root: {other}}}}}
tasks:
  tiny: {{source: tiny, target: tiny}}
  tiny->other: {{source: tiny, target: other}}
  other: {{source: other, target: other}}
backbone: {{use: resnet-tiny, width: 4}}
methods:
  untrained: {{finetune: none}}
  colours: {{finetune: colour-histogram}}
  bot: {{finetune: {{use: bot, epochs: 1}}}}
  bad: {{finetune: {{use: command, extract: 'false {{images}} {{out}}'}}}}
claims:
  - {{say: Colours {evil} beat an untrained network, better: colours, than: untrained, published: {{effect: 9, source: Table 1}}}}
  - {{say: One epoch is nothing, equal: [bot, untrained], margin: 5, on: tiny, why: It is short.}}
  - {{say: A bad one wins, better: bad, than: bot, on: other}}
"""  # noqa: E501


@pytest.fixture(scope="module")
def ran(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a matrix file, its store and its pack."""
    folder = tmp_path_factory.mktemp("claims")
    other = write_market_folder(folder / "other", seed=1)
    (folder / "m.yaml").write_text(TEXT.format(tiny=market, other=other, evil=EVIL))
    reidbench.run(folder / "m.yaml", store=folder / "store", executor="inline", progress=False)
    program("pack", folder / "m.yaml", "--store", folder / "store", "-o", folder / "p.zip")
    return folder


def program(*arguments: object, code: int = 0) -> tuple[str, str]:
    """Return the program's output, run in this process, since a child takes seconds to start."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        ended = exit_code(lambda: main.app([*map(str, arguments)]))
    assert ended == code, err.getvalue()
    return out.getvalue(), err.getvalue()


def printed(*arguments: object, code: int = 0) -> str:
    out, err = program("claims", *arguments, code=code)
    return err if code else out


def claims_of(*arguments: object) -> list[dict[str, Any]]:
    (found,) = json.loads(printed(*arguments, "--json"))["files"]
    return list(found["claims"])


def test_markdown_has_a_line_for_each_claim_and_the_rule(ran: Path) -> None:
    text = printed(ran / "m.yaml", "--store", ran / "store")
    assert text.startswith("# Claims of Claimed\n\n3 claims: ")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    assert lines[0] == [
        "claim", "compared", "published", "effect", "80 % interval", "seeds", "p for", "p against", "verdict", "why",
    ]  # fmt: skip
    assert [line[0] for line in lines[2:]] == [
        "Colours &lt;b&gt;bold&lt;/b&gt; beat an untrained network", "One epoch is nothing", "A bad one wins",
    ]  # fmt: skip
    assert lines[2][1:3] == ["colours > untrained; mAP on all tasks", "+9.0 (Table 1)"]
    assert lines[3][9].endswith(". It is short.")
    assert lines[4][3:9] == ["–", "–", "–", "–", "–", "undecided"]
    assert "Not tested: bad on other: failed: " in lines[4][9]
    assert "alpha is 0.1 for all 3 claims of the file (Holm" in text
    assert "According to the records, claims and rule predate the results" in text


def test_json_has_what_the_results_give(ran: Path) -> None:
    rows = json.loads(program("table", ran / "m.yaml", "--store", ran / "store", "--format", "json")[0])["rows"]
    first, second, third = claims_of(ran / "m.yaml", "--store", ran / "store")
    means = {}
    for task in first["tasks"]:
        of = {m: [r["metrics"]["mAP"] for r in rows if (r["method"], r["task"]) == (m, task)] for m in first["rows"]}
        assert [len(several) for several in of.values()] == [1, 3]
        means[task] = of["colours"][0] - sum(of["untrained"]) / 3
    (pair,) = first["pairs"]
    assert pair["tasks"] == pytest.approx(means)
    assert pair["effect"] == pytest.approx(sum(means.values()) / 3)
    assert (first["published"], first["least"], first["unit"]) == ({"effect": 0.09, "text": "Table 1"}, 0.02, "%")
    assert (second["margin"], second["least"], second["published"]) == (0.05, None, None)
    assert (third["p"], third["p_holm"], third["verdict"]) == (None, None, "undecided")
    assert {claim["verdict"] for claim in (first, second)} <= {"reproduced", "refuted", "undecided"}


def test_a_pack_says_what_its_store_said(ran: Path) -> None:
    assert printed(ran / "p.zip") == printed(ran / "m.yaml", "--store", ran / "store")
    both = printed(ran / "p.zip", ran / "m.yaml", "--store", ran / "store")
    assert both.count("# Claims of Claimed\n") == 2
    assert "mismatches: 0" in program("verify", ran / "p.zip")[0]


def test_a_pack_from_elsewhere_claims_nothing_that_a_file_cannot(ran: Path) -> None:
    with zipfile.ZipFile(ran / "p.zip") as archive:
        board = json.loads(archive.read("board.json"))
    assert recorded_plan(board).benchmark.claims[0].since.startswith("20")
    faults: list[tuple[str, Any]] = [
        ("rows", ["colours"]), ("rows", ["colours", "colours"]), ("rows", ["colours", "nobody"]), ("on", []),
        ("on", ["nowhere"]), ("metric", "accuracy"), ("by", "nobody"), ("margin", -1.0), ("effect", 0.0),
        ("kind", "best"), ("since", "yesterday"), ("say", board["claims"][1]["say"]), ("by", ["cosine"]),
        ("by", ["cosine", "cosine", "cosine"]), ("by", ["cosine", "nobody"]),
    ]  # fmt: skip
    for name, value in faults:
        changed = {**board, "claims": [{**board["claims"][0], name: value}, *board["claims"][1:]]}
        with pytest.raises(ReidbenchError, match="not a valid recorded board"):
            recorded_plan(changed)
    with pytest.raises(ReidbenchError, match="claim_rule has values out of range"):
        recorded_plan({**board, "claim_rule": {"alpha": 2.0, "effect": 3.0}})
    older = {name: value for name, value in board.items() if name not in ("claims", "claim_rule")}
    assert recorded_plan(older).benchmark.claims == ()
    assert record(recorded_plan(older)).keys() == older.keys()


def test_the_dates_are_those_of_the_newest_claim_and_the_first_evaluation(ran: Path, registry: Registry) -> None:
    """A claim whose first run was interrupted for others must not pass with their older date."""
    store = Store(ran / "store")
    the_plan = dated(plan.expand(reader.read(ran / "m.yaml", registry)), store)
    board = reidbench.report.collect(the_plan, store)
    found = judge(board, the_plan)
    (older, *others) = found.judged
    late = replace(older, claim=replace(older.claim, since="2026-01-02T00:00:00Z"))
    rest = [replace(one, claim=replace(one.claim, since="2026-01-01T00:00:00Z")) for one in others]
    (said,) = timing.timing(board, replace(found, judged=(late, *rest)), store)
    assert "the newest claim was first run at 2026-01-02T00:00:00Z, and the first evaluation of any began at 20" in said
    assert "claims and rule predate the results" in said


def test_a_claim_may_be_newer_than_the_results_of_others(
    ran: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row of the newest claim has no result before it, those of the other claims have."""
    store = Store(ran / "store")
    the_plan = dated(plan.expand(reader.read(ran / "m.yaml", registry)), store)
    found = judge(reidbench.report.collect(the_plan, store), the_plan)
    first, second, *_ = (
        replace(one, claim=replace(one.claim, since=since))
        for one, since in zip(found.judged, ("2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z", ""), strict=True)
    )
    begun = {first.claim.say: "2026-01-02T00:00:00Z", second.claim.say: "2026-01-04T00:00:00Z"}
    monkeypatch.setattr(
        timing, "_begun", lambda board, one, store: ((side, begun[one.claim.say]) for side in one.claim.sides)
    )
    (said,) = timing.timing(reidbench.report.collect(the_plan, store), replace(found, judged=(first, second)), store)
    assert "each claim, with the rule, predates the results of its rows: the newest claim was first run at" in said
    assert said.endswith("2026-01-03T00:00:00Z, and the first evaluation of its rows began at 2026-01-04T00:00:00Z.")


def test_claims_removed_after_their_results_change_the_rule(ran: Path, tmp_path: Path) -> None:
    """Fewer claims have a milder correction, so a run with more of them was judged by another rule."""
    text = (ran / "m.yaml").read_text()
    fewer = "".join(line for line in text.splitlines(keepends=True) if "One epoch is nothing" not in line)
    (tmp_path / "m.yaml").write_text(fewer)
    assert "For 2 of 2 claims, no recorded run" in printed(tmp_path / "m.yaml", "--store", ran / "store")


def test_a_row_of_an_older_file_gives_no_difference_away(
    ran: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows may be shared with a file that ran before; two such rows that a claim compares were known."""
    store = Store(ran / "store")
    the_plan = dated(plan.expand(reader.read(ran / "m.yaml", registry)), store)
    board = reidbench.report.collect(the_plan, store)
    found = judge(board, the_plan)
    methods = {row.key: row.method for row in the_plan.rows}

    def said(*older: str) -> list[str]:
        start = {True: "2020-01-01T00:00:00Z", False: "2099-01-01T00:00:00Z"}
        monkeypatch.setattr(timing, "_started", lambda key, store: [start[methods[key] in older]])
        return list(timing.timing(board, found, store))

    (one,) = said("untrained")
    assert one.startswith(
        "For 2 of 3 claims, results of one of two compared rows are older than the first recorded run"
    )
    assert "(untrained); no difference was known before it." in one
    one, other = said("untrained", "bot")
    assert one.startswith("For 2 of 3 claims, results of one of two compared rows")  # bad has no result
    assert "(untrained, bot)" in one
    assert other.startswith("For 1 of 3 claims, no recorded run")
    assert "(One epoch is nothing)" in other


def test_a_claim_that_was_written_after_its_results_is_named(ran: Path, tmp_path: Path) -> None:
    text = (ran / "m.yaml").read_text()
    (tmp_path / "m.yaml").write_text(text.replace("margin: 5", "margin: 6").replace("It is short.", "Another reason."))
    changed = printed(tmp_path / "m.yaml", "--store", ran / "store")
    assert "For 1 of 3 claims, no recorded run with the current claim and rule began before" in changed
    assert "(One epoch is nothing)" in changed
    (tmp_path / "m.yaml").write_text(text.replace("It is short.", "Another reason."))
    assert "claims and rule predate the results" in printed(tmp_path / "m.yaml", "--store", ran / "store")
    (tmp_path / "m.yaml").write_text(text.replace("alpha: 0.1", "alpha: 0.2"))
    assert "For 3 of 3 claims, no recorded run" in printed(tmp_path / "m.yaml", "--store", ran / "store")


def test_a_later_run_does_not_make_claims_older(ran: Path, tmp_path: Path, registry: Registry) -> None:
    store = Store(shutil.copytree(ran / "store", tmp_path / "store"))
    (tmp_path / "m.yaml").write_text((ran / "m.yaml").read_text().replace("margin: 5", "margin: 6"))
    the_plan = plan.expand(reader.read(tmp_path / "m.yaml", registry))
    assert [bool(claim.since) for claim in dated(the_plan, store).benchmark.claims] == [True, False, True]
    store.save_board(record(the_plan), "2099-01-01T00:00:00Z")
    assert dated(the_plan, store).benchmark.claims[1].since == "2099-01-01T00:00:00Z"
    assert "For 1 of 3 claims, no recorded run" in printed(tmp_path / "m.yaml", "--store", tmp_path / "store")


def test_a_trusted_pack_brings_its_dates(ran: Path, tmp_path: Path) -> None:
    program("merge", ran / "p.zip", "--store", tmp_path / "trusted", "--trusted")
    program("merge", ran / "p.zip", "--store", tmp_path / "other")
    assert "claims and rule predate the results" in printed(ran / "m.yaml", "--store", tmp_path / "trusted")
    assert "For 3 of 3 claims, no recorded run" in printed(ran / "m.yaml", "--store", tmp_path / "other")


def test_tasks_that_share_a_training_are_known_from_the_plan(ran: Path, registry: Registry) -> None:
    """bot is trained once for tiny and tiny->other, and again for other."""
    the_plan = plan.expand(reader.read(ran / "m.yaml", registry))
    again = recorded_plan(record(the_plan))
    for one in (the_plan, again):
        behind = trainings(one)
        rows = {row.task: row for row in one.rows if (row.method, row.seed) == ("bot", 1)}
        found = {task: behind(reidbench.report.Result(row, "ok")) for task, row in rows.items()}
        assert len(found["tiny"]) == 1
        assert found["tiny"] == found["tiny->other"]
        assert not found["tiny"] & found["other"]


def test_the_page_has_a_section(ran: Path) -> None:
    program("table", ran / "m.yaml", "--store", ran / "store", "--format", "html", "-o", ran / "t.html")
    page = (ran / "t.html").read_text()
    section = page[page.index('<section id="claims"') :].partition("</section>")[0]
    assert '<a href="#claims">Claims</a>' in page
    assert EVIL not in section
    text = re.sub(r"<[^>]+>", "", section)
    for words in (
        "3 claims: ",
        "One epoch is nothing",
        "+9.0 (Table 1)",
        "Not tested: bad on other",
        "alpha is 0.1 for",
    ):
        assert words in text
    assert "claims and rule predate the results" in text


def test_the_page_of_a_file_without_claims_has_none(ran: Path) -> None:
    text = (ran / "m.yaml").read_text().partition("claims:\n")[0]
    (ran / "none.yaml").write_text(text.replace("claim_rule: {alpha: 0.1, effect: 2}\n", ""))
    program("table", ran / "none.yaml", "--store", ran / "store", "--format", "html", "-o", ran / "n.html")
    assert 'id="claims"' not in (ran / "n.html").read_text()
    assert f"{ran / 'none.yaml'} has no `claims:`" in printed(ran / "none.yaml", "--store", ran / "store", code=2)


def test_python_has_a_frame_of_them(ran: Path) -> None:
    pytest.importorskip("pandas")
    results = reidbench.load(ran / "m.yaml", store=ran / "store", progress=False)
    frame = results.claims()
    expected = claims_of(ran / "m.yaml", "--store", ran / "store")
    assert frame["say"].tolist() == [one["say"] for one in expected]
    assert frame["verdict"].tolist() == [one["verdict"] for one in expected]
    assert frame["why"].tolist() == [one["why"] for one in expected]
    assert frame["effect"].tolist()[0] == expected[0]["pairs"][0]["effect"]
    assert frame["p"].tolist()[:2] == [one["p_holm"] for one in expected[:2]]
    assert frame["p"].isna().tolist() == [False, False, True]
    assert frame["seeds"].tolist() == [3, 3, 0]
    assert str(frame["seeds_to_see"].dtype) == "Int64"


def test_files_that_cannot_be_judged_are_one_sentence(ran: Path, tmp_path: Path) -> None:
    assert "cannot be read: No such file" in printed(tmp_path / "absent.yaml", code=2)
    assert "remove --store and --set" in printed(ran / "p.zip", "--set", "seeds=[0]", code=2)
    said = printed(ran / "m.yaml", "--set", "claims=[{say: A, better: bott, than: bot}]", code=2)
    assert said.startswith("--set ")
    assert "claims.0.better: unknown row 'bott'; did you mean 'bot'?" in said


@pytest.mark.slow
def test_two_evaluators_of_one_row_are_compared(market: Path, tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    before, _, _ = TEXT.format(tiny=market, other=market, evil="").partition("tasks:")
    file.write_text(
        before + "tasks: {tiny: {source: tiny, target: tiny}}\n"
        "backbone: {use: resnet-tiny, width: 4}\nmethods: {bot: {finetune: {use: bot, epochs: 1}}}\n"
        "evaluate: [cosine, {use: k-reciprocal, k1: 4, k2: 2}]\n"
        "claims: [{say: Re-ranking helps, better: bot, than: bot, by: [k-reciprocal, cosine]}]\n"
    )
    reidbench.run(file, store=tmp_path / "store", executor="inline", progress=False)
    rows = json.loads(program("table", file, "--store", tmp_path / "store", "--format", "json")[0])["rows"]
    values = {(row["evaluator"], row["seed"]): row["metrics"]["mAP"] for row in rows}
    differences = [values["k-reciprocal", seed] - values["cosine", seed] for seed in range(3)]
    (one,) = claims_of(file, "--store", tmp_path / "store")
    (pair,) = one["pairs"]
    assert pair["effect"] == pytest.approx(sum(differences) / 3)
    assert (one["rows"], one["evaluator"]) == (["bot", "bot"], ["k-reciprocal", "cosine"])
    assert pair["rows"] == ["bot by k-reciprocal", "bot by cosine"]
    program("pack", file, "--store", tmp_path / "store", "-o", tmp_path / "p.zip")
    text = printed(tmp_path / "p.zip")
    assert "| bot by k-reciprocal > bot by cosine; mAP on tiny |" in text
    assert text == printed(file, "--store", tmp_path / "store")
    assert "mismatches: 0" in program("verify", tmp_path / "p.zip")[0]


def test_it_writes_to_a_file(ran: Path, tmp_path: Path) -> None:
    assert printed(ran / "p.zip", "-o", tmp_path / "out.md") == ""
    assert (tmp_path / "out.md").read_text() == printed(ran / "p.zip")


def test_documents_have_the_claims_of_packs(ran: Path, tmp_path: Path) -> None:
    shutil.copyfile(ran / "p.zip", tmp_path / "p.zip")
    page = tmp_path / "CLAIMS.md"
    begin, end = "<!-- claims: p.zip -->\n", "<!-- end of claims -->\n"
    page.write_text(f"Before\n{begin}old\n{end}after\n{begin.replace('p.zip', 'p.zip p.zip --trusted --rule')}{end}")
    assert tables.stale(tmp_path, write=True) == ["CLAIMS.md:2: p.zip", "CLAIMS.md:6: p.zip p.zip --trusted --rule"]
    assert tables.stale(tmp_path, write=False) == []
    first, second = (part.partition(end)[0] for part in re.split(r"<!-- claims:.*-->\n", page.read_text())[1:])
    whole = printed(ran / "p.zip")
    assert first in whole
    assert whole.removeprefix("# Claims of Claimed\n\n").startswith(first)
    assert second.count(f"### Claims of Claimed\n\n{first}") == 2
    assert whole.endswith(second[second.index("- Effects are in the printed unit") :])


FAULTS = {
    "none.zip": "none.zip: cannot be read",
    "../p.zip": "../p.zip: not a path below the root",
    "": "the following arguments are required: pack",
    "p.zip --metric cmc1": "unrecognized arguments: --metric cmc1",
    "quickstart.zip": "quickstart.zip: its matrix file has no `claims:`",
}


@pytest.mark.parametrize("words", FAULTS)
def test_claims_that_cannot_be_made_are_named_with_their_line(words: str, ran: Path, tmp_path: Path) -> None:
    shutil.copyfile(ran / "p.zip", tmp_path / "p.zip")
    shutil.copyfile(QUICKSTART, tmp_path / "quickstart.zip")
    (tmp_path / "README.md").write_text(f"\n<!-- claims: {words} -->\n<!-- end of claims -->\n")
    with pytest.raises(ReidbenchError) as caught:
        tables.stale(tmp_path, write=True)
    line, _, reason = str(caught.value).partition(": ")
    assert line == "README.md:2"
    assert FAULTS[words] in reason
    (tmp_path / "README.md").write_text("<!-- claims: p.zip -->\n<!-- end of table -->\n")
    with pytest.raises(
        ReidbenchError, match=r"README\.md:1: the claims have no end: add a line <!-- end of claims -->"
    ):
        tables.stale(tmp_path, write=True)


def test_before_anything_ran_all_is_undecided(ran: Path, tmp_path: Path) -> None:
    text = printed(ran / "m.yaml", "--store", tmp_path / "empty")
    assert "3 claims: 0 reproduced, 0 refuted, 3 undecided." in text
    assert "predate the results" not in text


def test_a_claim_may_be_about_the_score(ran: Path, tmp_path: Path) -> None:
    """The mean of rank 1 and mAP: the effect is the mean of the two effects."""
    pytest.importorskip("pandas")
    effects = {}
    for metric in ("mAP", "cmc1", "score"):
        text = (ran / "m.yaml").read_text().partition("claims:")[0]
        claim = f"{{say: Colours, better: colours, than: untrained, on: tiny, metric: {metric}}}"
        (tmp_path / "m.yaml").write_text(f"{text}claims: [{claim}]\n")
        found = reidbench.load(tmp_path / "m.yaml", store=ran / "store").claims()
        effects[metric] = float(found.effect[0])
    assert effects["score"] == pytest.approx((effects["mAP"] + effects["cmc1"]) / 2, abs=1e-9)
