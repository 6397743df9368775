"""Published numbers of plugins: corrected ones, and statements of the papers' texts about them."""

from __future__ import annotations

import re

import pytest

from reidbench import Published
from reidbench.registry import plugins
from reidbench.registry import published as papers

TO_MARKET, TO_DUKE = "dukemtmc-reid->market1501", "market1501->dukemtmc-reid"
FROM_CUHK03 = ("cuhk03-classic->market1501", "cuhk03-classic->dukemtmc-reid")
MSMT17 = "msmt17-v1(train=trainval)"
NO_COMPONENT = {"naic2019", "cifar10"}  # data sets of published numbers that no component reads


def lines_of(registry: plugins.Registry, kind: str, name: str) -> list[papers.Line]:
    paper = registry.get(kind, name).paper
    assert paper is not None
    return papers.lines(paper.published)


def values(
    registry: plugins.Registry, kind: str, name: str, source: str, row: str, task: str, *, exact: bool = False
) -> list[str]:
    """Return the printed numbers of the one line of a source whose row has this ending."""
    found = [
        line
        for line in lines_of(registry, kind, name)
        if line.first.source == source
        and (line.first.row == row if exact else line.first.row.endswith(row))
        and line.first.task == task
    ]
    assert len(found) == 1, (source, row, task)
    return [papers.percent(metric, value) for metric, value in found[0].values.items()]


def every(registry: plugins.Registry) -> list[Published]:
    return [n for one in registry.components.values() if one.paper for n in one.paper.published]


def test_every_task_names_a_data_set_that_there_is(registry: plugins.Registry) -> None:
    """Its parameters and values must exist too, or the number could not be shown next to a row."""
    seen = 0
    for number in every(registry):
        for side in re.split(r"->|\+", number.task):
            name, _, given = side.rstrip(")").partition("(")
            if name in NO_COMPONENT:
                assert not number.beside
                continue
            pairs = dict(pair.split("=") for pair in given.split(", ") if pair)
            params = registry.get("dataset", name).params(**pairs)
            assert all(str(getattr(params, key)) == value for key, value in pairs.items())
            seen += 1
    assert seen > 700


@pytest.mark.parametrize(
    ("row", "preset"),
    [
        ("all search, single shot", "sysu-mm01-all-single"),
        ("indoor search, single shot", "sysu-mm01-indoor-single"),
        ("visible to thermal", "regdb"),
    ],
)
def test_numbers_across_modalities_have_the_words_of_their_protocol(
    registry: plugins.Registry, row: str, preset: str
) -> None:
    evaluator = registry.get("evaluator", "cosine")
    words = evaluator.protocol_with(evaluator.params(**evaluator.presets[preset]))
    (line,) = [one for one in lines_of(registry, "finetuner", "two-stream") if one.first.row.endswith(row)]
    assert {*line.first.rules, f"AP {line.first.ap}"} == words


def test_every_number_has_a_source_and_no_mean_precision_of_a_method_lacks_its_rule(registry: plugins.Registry) -> None:
    """If the rule is unknown, the number is cited by others, or the paper does not state it.

    ARN's does not; PCB's code calls scikit-learn, whose rule depends on its version.
    """
    for number in every(registry):
        assert re.search(r"paper|README|PLIP|zoo|demo|reproduction", number.source), number.source
        if number.metric == "mAP" and number.ap == "unknown":
            cited = re.search(r"cited|listed|way of|PLIP|ACT|JVTC|NL|finger|Tables? [45]", number.source)
            assert cited or number.row.startswith(("ARN", "PCB", "BDB")), number


@pytest.mark.parametrize(("kind", "name"), [("adapter", "gcl-oracle"), ("adapter", "gcl-contrast")])
def test_controls_have_no_number_of_the_method(registry: plugins.Registry, kind: str, name: str) -> None:
    paper = registry.get(kind, name).paper
    assert paper is not None
    assert paper.published == ()


# ---------------------------------------------------------------------- tables that were corrected
@pytest.mark.parametrize(("name", "plain"), [("transreid", True), ("transreid-sie", False)])
def test_transreid_tells_the_baseline_from_the_whole(registry: plugins.Registry, name: str, plain: bool) -> None:
    """89.0/95.1 and 67.8/85.3 are TransReID*, with stride 12, SIE and JPM; the plain one has 87.1/94.6, 61.8/81.8."""
    for row, cells in (
        ("256x128, baseline", {"market1501": ["87.1", "94.6"], MSMT17: ["61.8", "81.8"]}),
        (
            "ViT-B/16 from ImageNet-21k, 256x128, TransReID*",
            {"market1501": ["89.0", "95.1"], MSMT17: ["67.8", "85.3"]},
        ),
    ):
        for task, expected in cells.items():
            assert values(registry, "finetuner", name, "official README", row, task) == expected
    beside = {
        line.first.row.rpartition(", ")[2]: line.first.beside
        for line in lines_of(registry, "finetuner", name)
        if line.first.source == "official README" and "ViT" in line.first.row
    }
    assert beside == {"baseline": plain, "TransReID*": not plain}
    notes = {line.first.note for line in lines_of(registry, "finetuner", name) if line.first.row.endswith("TransReID*")}
    assert notes >= {"jigsaw patches (JPM) and cameras (SIE), stride 12, learning rate 8e-3"}


def test_spcl(registry: plugins.Registry) -> None:
    final, first = "paper and official README", "first version of the paper, as listed by OpenUnReID"
    for source, task, expected in (
        (final, "market1501", ["73.1", "88.1"]),
        (final, MSMT17, ["19.1", "42.3"]),
        (first, "dukemtmc-reid", ["65.3", "81.2"]),
        (first, TO_MARKET, ["76.7", "90.3"]),
        (first, TO_DUKE, ["68.8", "82.9"]),
    ):
        row = "SpCL, ResNet-50 from ImageNet, 256x128"
        assert values(registry, "adapter", "spcl", source, row, task, exact=True)[:2] == expected


def test_spcl_gains_what_its_abstract_says(registry: plugins.Registry) -> None:
    """16.7 and 7.9 points of mAP on Market-1501 and MSMT17 without a source, over HCT's 56.4 and MMCL's 11.2."""
    row = "SpCL, ResNet-50 from ImageNet, 256x128"
    for task, other, gain in (("market1501", 56.4, 16.7), (MSMT17, 11.2, 7.9)):
        found = values(registry, "adapter", "spcl", "paper and official README", row, task, exact=True)
        assert float(found[0]) - other == pytest.approx(gain)


MMT_TABLE = "table of results in the official README"


def test_mmt(registry: plugins.Registry) -> None:
    """OpenUnReID's leaderboard lists the best number of clusters of each task under the paper's name."""
    for row, task, expected in (
        ("MMT-700, ResNet-50", TO_DUKE, ["65.1", "78.0", "88.8", "92.5"]),
        ("MMT-500, ResNet-50", TO_MARKET, ["71.2", "87.7", "94.9", "96.9"]),
        ("MMT-1500, ResNet-50", f"market1501->{MSMT17}", ["22.9", "49.2", "63.1", "68.8"]),
        ("MMT-1500, ResNet-50", f"dukemtmc-reid->{MSMT17}", ["23.3", "50.1", "63.9", "69.8"]),
    ):
        full = f"{row} from ImageNet, 256x128"
        assert values(registry, "adapter", "mmt", MMT_TABLE, full, task, exact=True) == expected


def test_mmt_gains_what_its_abstract_says(registry: plugins.Registry) -> None:
    """14.4 points of mAP over PCB-PAST's 54.3, and 18.2 over SSG's 58.3."""
    for row, task, other, gain in (("MMT-700, IBN", TO_DUKE, 54.3, 14.4), ("MMT-500, IBN", TO_MARKET, 58.3, 18.2)):
        full = f"{row}-ResNet-50-a from ImageNet, 256x128"
        found = values(registry, "adapter", "mmt", MMT_TABLE, full, task, exact=True)
        assert float(found[0]) - other == pytest.approx(gain)


def test_the_model_zoo_lists_the_methods_of_openunreid_in_one_order(registry: plugins.Registry) -> None:
    """With a source and without, as its leaderboard has them."""
    for name, row, expected in (
        ("mmt", "MMT+, ResNet-50 from ImageNet", ["80.9", "67.7", "74.3", "60.3"]),
        ("strong-baseline", "strong baseline, ResNet-50 from ImageNet", ["75.6", "60.4", "70.5", "54.7"]),
        ("spcl", "SpCL+, ResNet-50 from ImageNet", ["78.2", "70.4", "76.0", "67.1"]),
    ):
        tasks = (TO_MARKET, TO_DUKE, "market1501", "dukemtmc-reid")
        found = [
            values(registry, "adapter", name, "model zoo of OpenUnReID", row, task, exact=True)[0] for task in tasks
        ]
        assert found == expected


def test_cluster_contrast_is_of_its_readme(registry: plugins.Registry) -> None:
    for task, expected in (
        ("market1501", ["82.1", "92.3", "96.7", "97.9"]),
        ("dukemtmc-reid", ["72.6", "84.9", "91.9", "93.9"]),
        ("msmt17-v1", ["27.6", "56.0", "66.8", "71.5"]),
        ("personx", ["84.7", "94.4", "98.3", "99.3"]),
    ):
        source = "official README, Table 2"
        assert values(registry, "adapter", "cluster-contrast", source, "DBSCAN", task) == expected


def test_arn_has_its_four_rows_in_both_directions_and_says_that_they_are_often_exchanged(
    registry: plugins.Registry,
) -> None:
    """Each row is in mAP, rank 1; the two tables of the paper share them."""
    source = "ablation tables of the paper: with and without supervision, with and without private encoders"
    expected = {
        "L_rec alone, E_I frozen": (["20.3", "44.5"], ["18.4", "31.2"]),
        "private encoders, without L_class and L_ctrs": (["23.7", "52.2"], ["19.6", "36.7"]),
        "L_class, L_ctrs and L_rec, without private encoders": (["28.7", "60.5"], ["26.8", "48.4"]),
        "all losses": (["39.4", "70.3"], ["33.4", "60.2"]),
    }
    lines = [line for line in lines_of(registry, "adapter", "arn") if line.first.source == source]
    assert len(lines) == 8
    for row, (to_market, to_duke) in expected.items():
        assert values(registry, "adapter", "arn", source, row, TO_MARKET) == to_market
        assert values(registry, "adapter", "arn", source, row, TO_DUKE) == to_duke
    assert {list(line.values)[:2] == ["mAP", "cmc1"] for line in lines} == {True}
    assert all("the two directions exchanged" in line.first.note for line in lines)


def test_arn_as_others_cite_it(registry: plugins.Registry) -> None:
    """JVTC's table has both directions in the order of the paper, which confirms them."""
    source = "paper, as cited by JVTC, Table 2"
    for task, expected in (
        (TO_DUKE, ["33.4", "60.2", "73.9", "79.5", "82.5"]),
        (TO_MARKET, ["39.4", "70.3", "80.4", "86.3", "93.6"]),
    ):
        assert values(registry, "adapter", "arn", source, "all losses", task) == expected


def test_hhl_distances_are_no_fractions_and_all_its_mean_precision_is_trapezoid(registry: plugins.Registry) -> None:
    row = "network trained on the source"
    assert values(registry, "adapter", "hhl", "paper, Table 1", row, TO_MARKET) == ["0.049", "0.034", "0.485"]
    assert values(registry, "adapter", "hhl", "paper, Table 1", row, TO_DUKE) == ["0.059", "0.044", "0.614"]
    rules = {line.rule() for line in lines_of(registry, "adapter", "hhl") if line.first.row.startswith(("HHL", "L_CD"))}
    assert rules == {"trapezoid"}


def hhl(registry: plugins.Registry, source: str, row: str, task: str) -> dict[str, float]:
    """Rank 1 and mAP of a row, in %."""
    (line,) = [
        line
        for line in lines_of(registry, "adapter", "hhl")
        if line.first.source == f"paper, {source}" and line.first.row.endswith(row) and line.first.task == task
    ]
    return {metric: round(100 * line.values[metric], 1) for metric in ("cmc1", "mAP")}


def test_hhl_gains_what_its_text_says(registry: plugins.Registry) -> None:
    """Sections 4.4 and 4.5: points of rank 1, and of mAP over TJ-AIDL and SPGAN."""

    def gain(table: str, better: str, worse: str, task: str) -> float:
        pair = [hhl(registry, table, row, task)["cmc1"] for row in (f", {better}", f", {worse}")]
        return round(pair[0] - pair[1], 1)

    assert gain("Table 2", "L_D", "L_T", TO_MARKET) == 1.2
    assert gain("Table 3", "L_D", "L_T", FROM_CUHK03[0]) == 2.8
    assert gain("Table 2", "L_C", "S", TO_MARKET) == 16
    assert gain("Table 3", "L_CD", "L_D", FROM_CUHK03[0]) == 7.9
    assert gain("Table 3", "L_CD", "L_C", FROM_CUHK03[0]) == 3.2
    ours, theirs = hhl(registry, "Table 2", ", L_CD", TO_MARKET), hhl(registry, "Table 4", "TJ-AIDL", TO_MARKET)
    assert {metric: round(ours[metric] - theirs[metric], 1) for metric in ours} == {"cmc1": 4.0, "mAP": 4.9}
    ours, theirs = hhl(registry, "Table 3", ", L_CD", FROM_CUHK03[0]), hhl(registry, "Table 5", "SPGAN", FROM_CUHK03[0])
    assert round(ours["mAP"] - theirs["mAP"], 1) == 10.8


@pytest.mark.parametrize("task", [TO_MARKET, TO_DUKE, *FROM_CUHK03])
def test_hhl_figures_meet_its_tables(registry: plugins.Registry, task: str) -> None:
    """Random sampling, beta 0.5 and n_t 16 are L_CD; n_t 0 is L_T; beta 0 is S, but for one mAP."""
    table = "Table 2" if "cuhk03" not in task else "Table 3"
    whole = hhl(registry, table, ", L_CD", task)
    assert hhl(registry, "Figure 3", "at random", task) == whole
    assert hhl(registry, "Figure 5", "beta 0.5", task) == whole
    assert hhl(registry, "Figure 6", "n_t 16", task) == whole
    assert hhl(registry, "Figure 6", "n_t 0", task) == hhl(registry, table, ", L_T", task)
    start, source_only = hhl(registry, "Figure 5", "beta 0.0", task), hhl(registry, table, ", S", task)
    assert start["cmc1"] == source_only["cmc1"]
    assert (start["mAP"], source_only["mAP"]) == (18.2, 16.9) if task == TO_DUKE else start == source_only


def test_gcl_headline_starts_from_jvtc_plus_and_stands_beside_nothing(registry: plugins.Registry) -> None:
    lines = [line for line in lines_of(registry, "adapter", "gcl") if line.first.source == "paper, headline row"]
    assert {tuple(papers.percent(metric, value) for metric, value in line.values.items()) for line in lines} == {
        ("66.8", "87.3"),
        ("62.8", "82.9"),
        ("21.3", "45.7"),
    }
    for line in lines:
        assert line.first.row.startswith("GCL(JVTC+)")
        assert "frame numbers" in line.first.note
        assert not line.first.beside


@pytest.mark.parametrize(("kind", "name"), [("pretrainer", "dino"), ("selector", "cfs"), ("selector", "list")])
def test_transreid_ssl_names_the_round_that_is_the_papers(registry: plugins.Registry, kind: str, name: str) -> None:
    row = "ViT-S/16, 256x128, DINO on 60 % of LUPerson by CFS, supervised"
    printed, repeated = "paper, as in the official README", "official README, the authors' reproduction"
    for source, market, msmt in ((printed, "91.0 96.0", "66.1 84.6"), (repeated, "91.2 95.8", "66.3 84.8")):
        assert values(registry, kind, name, source, row, "market1501") == market.split()
        assert values(registry, kind, name, source, row, MSMT17) == msmt.split()


def test_transreid_ssl_gains_what_its_abstract_says(registry: plugins.Registry) -> None:
    """ViT-S with its stem on Market-1501: 91.3, 89.9 and 89.6 mAP supervised, adapted, and without labels."""
    mean_ap = {
        line.first.row.rpartition("CFS, ")[2]: papers.percent("mAP", line.values["mAP"])
        for line in lines_of(registry, "pretrainer", "dino")
        if line.first.source == "paper, as in the official README"
        and line.first.row.startswith("ViT-S/16 + ICS")
        and line.first.task.endswith("market1501")
    }
    assert mean_ap == {
        "supervised": "91.3",
        "supervised on the source, then cluster contrast": "89.9",
        "cluster contrast without labels": "89.6",
    }


def test_moco_has_lupersons_numbers(registry: plugins.Registry) -> None:
    row = "MoCo v2 on LUPerson, then MGN, ResNet-50, 384x128"
    for task, expected in (
        ("market1501", ["91.12", "96.26"]),
        ("dukemtmc-reid", ["82.27", "90.35"]),
        ("msmt17-v1", ["66.06", "85.08"]),
        ("cuhk03-np(boxes=labeled)", ["74.54", "74.64"]),
    ):
        source = "README of LUPerson"
        assert values(registry, "pretrainer", "moco-v2", source, row, task, exact=True) == expected


def test_lupersons_paper_is_below_luperson_nl_by_what_its_abstract_says(registry: plugins.Registry) -> None:
    """5.7, 2.2 and 2.3 points of mAP on CUHK03, DukeMTMC-reID and MSMT17 with the same MGN."""
    mean_ap = {
        (line.first.source, line.first.task): line.values["mAP"]
        for line in lines_of(registry, "pretrainer", "moco-v2")
        if "MGN, ResNet-50" in line.first.row
    }
    for task, source, gain in (
        ("cuhk03-np(boxes=labeled)", "paper of LUPerson, by way of LUPerson-NL", 5.7),
        ("dukemtmc-reid", "paper of LUPerson, as cited by PLIP, Table 7", 2.2),
        ("msmt17-v1", "paper of LUPerson, by way of LUPerson-NL", 2.3),
    ):
        assert 100 * (mean_ap["README of LUPerson-NL", task] - mean_ap[source, task]) == pytest.approx(gain)


def test_mgn_is_the_script_that_it_follows_with_its_own_number(registry: plugins.Registry) -> None:
    source = "README of the reproduction by seathiefwang"
    assert values(registry, "finetuner", "mgn", source, "last state", "market1501") == [
        *("93.83", "95.78", "97.21", "97.83", "98.43")
    ]
    notes = {line.first.note for line in lines_of(registry, "finetuner", "mgn") if line.first.source == source}
    assert all(note.startswith("re-ranked (k-reciprocal)") for note in notes)
    source = "README of the reproduction by GNAYUOHZ"
    row = "MGN, ResNet-50 from ImageNet, 384x128"
    found = values(registry, "finetuner", "mgn", source, row, "market1501", exact=True)
    assert found[:2] == ["86.15", "94.95"]


def test_the_steps_of_bots_ladder_never_lose(registry: plugins.Registry) -> None:
    """Each trick adds to rank 1 and mAP on both sets, as the paper's ladder shows; the last step is re-ranking."""
    ladder = [line for line in lines_of(registry, "finetuner", "bot") if line.first.source.endswith("ablation")]
    for task in ("market1501", "dukemtmc-reid"):
        steps = [line.values for line in ladder if line.first.task == task]
        assert len(steps) == 8
        for metric in ("cmc1", "mAP"):
            assert [step[metric] for step in steps] == sorted(step[metric] for step in steps)
    assert "re-ranked" in ladder[-1].first.note
