"""Matrix files of claims: requirements of a verdict, quoted numbers, and results shared with other files."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from benchmarks import tables
from reidbench.matrix import plan
from reidbench.matrix.benchmark import Benchmark, DataRef
from reidbench.matrix.claims import Claim
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry

Read = Callable[[str], Benchmark]
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FILES = sorted((BENCHMARKS / "worlds" / "claims").glob("*.yaml"))
LEAST = 5  # seeds, or pre-trainings if every row of every claim has one
LEAST_EACH = 3  # seeds of each pre-training
PAGE = (BENCHMARKS / "CLAIMS.md").read_text()
SECTIONS = dict(re.findall(r"^### `worlds/claims/(\S+)\.yaml`\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE))
TO_MARKET, TO_DUKE = "dukemtmc-reid->market1501", "market1501->dukemtmc-reid"
BOTH = (TO_MARKET, TO_DUKE)
ARN = (
    "adapter",
    "arn",
    "ablation tables of the paper: with and without supervision, with and without private encoders",
    BOTH,
)
HHL = ("adapter", "hhl", "paper, Table 2", BOTH)
COUNT = ("adapter", "hhl", "paper, Figure 6", BOTH)
SMOOTHED = ("finetuner", "bot", "official README, ablation", ("market1501", "dukemtmc-reid"))
STEMS = ("pretrainer", "dino", "paper, as in the official README", ("market1501", "msmt17-v1(train=trainval)"))
REC = "L_rec alone, E_I frozen"
PRIVATE = "private encoders, without L_class and L_ctrs"
LABELS = "L_class, L_ctrs and L_rec, without private encoders"
VIT = "256x128, DINO on 60 % of LUPerson by CFS, supervised"
# For each claim with a published effect, by file: the source of the numbers, the better row and the other.
QUOTED = {
    ("arn", "arn", "class+ctrs+rec"): (ARN, "all losses", LABELS),
    ("arn", "rec+diff", "rec"): (ARN, PRIVATE, REC),
    ("arn", "arn", "rec+diff"): (ARN, "all losses", PRIVATE),
    ("arn", "class+ctrs+rec", "rec"): (ARN, LABELS, REC),
    ("arn", "arn", "rec"): (ARN, "all losses", REC),
    ("hhl-losses", "L_CD", "longer"): (HHL, "L_CD", "S"),
    ("hhl-losses", "L_T", "longer"): (HHL, "L_T", "S"),
    ("hhl-losses", "L_C", "L_D"): (HHL, "L_C", "L_D"),
    ("hhl-losses", "L_CD", "L_C"): (HHL, "L_CD", "L_C"),
    ("hhl-batches", "L_CD", "n_t 4"): (COUNT, "n_t 8", "n_t 4"),
    ("competition-training", "smoothing", "baseline"): (SMOOTHED, "+ label smoothing", "+ random erasing"),
    ("stems", "ics (tuned)", "patches (tuned)"): (STEMS, f"ViT-S/16 + ICS, {VIT}", f"ViT-S/16, {VIT}"),
}
# For each claim whose text has numbers, by file: the same for each number, in order of appearance.
SAMPLED, WEIGHED = "paper, Figure 3", "paper, Figure 5"
TOLD: dict[tuple[str, ...], list[tuple[str, str, str, str, str]]] = {
    ("hhl-losses", "L_CD", "L_C", "L_D", "L_T", "longer"): [
        ("adapter", "hhl", "paper, Table 2", row, task) for task in BOTH for row in ("L_CD", "L_C", "L_D", "L_T", "S")
    ],
    ("hhl-beta", "beta 0.4", "L_CD", "beta 0.8"): [
        ("adapter", "hhl", WEIGHED, row, task) for task in BOTH for row in ("beta 0.4", "beta 0.5", "beta 0.8")
    ],
    ("hhl-batches", "L_CD", "n_t 16"): [
        ("adapter", "hhl", "paper, Figure 6", row, task) for task in BOTH for row in ("n_t 8", "n_t 16")
    ],
    ("hhl-batches", "L_CD", "drawn from clusters"): [
        ("adapter", "hhl", SAMPLED, row, task) for task in BOTH for row in ("drawn at random", "drawn from clusters")
    ],
    ("upreid-heads", "up-reid + mgn", "moco-v2 + mgn"): [
        ("pretrainer", "up-reid", "paper, as cited by PLIP, Table 7", "ResNet-50", "market1501"),
        ("pretrainer", "moco-v2", "paper of LUPerson, as cited by PLIP, Table 7", "384x128", "market1501"),
    ],
    ("dino", "dino (tuned)", "supervised (tuned)"): [
        ("pretrainer", "dino", "paper, as in the official README", f"ViT-S/16, {VIT}", "market1501"),
        ("finetuner", "transreid", "paper, Table 7", "ViT-B/16 from ImageNet-21k, 256x128, baseline", "market1501"),
    ],
}
# Rows of a file of claims that are results of another one.
SHARED: list[tuple[str, str, Mapping[str, str]]] = [
    ("hhl-controls", "hhl-losses", {"L_CD": "L_CD", "L_C": "L_C"}),
    ("hhl-beta", "hhl-losses", {"L_CD": "L_CD"}),
    ("hhl-batches", "hhl-losses", {"L_CD": "L_CD"}),
    ("gcl-joint", "gcl-views", {"generated": "generated"}),
    ("gcl-memory", "gcl-views", {"warm start": "warm start"}),
    ("upreid-parts", "upreid-heads", {"moco-v2": "moco-v2 + bot", "up-reid": "up-reid + bot"}),
    ("upreid-patches", "upreid-heads", {"up-reid": "up-reid + bot"}),
    ("stems", "dino", {"patches": "dino"}),
    ("stems-control", "stems", {"ics": "ics"}),
]
SEEN = {0, 1, 2}  # seeds of tables that were seen before the claims were written


@pytest.fixture(scope="module")
def read(registry: Registry) -> Read:
    """Read a file of worlds/ by its name, once."""
    return functools.cache(lambda name: reader.read(BENCHMARKS / "worlds" / f"{name}.yaml", registry))


def keys(found: Benchmark) -> dict[tuple[object, ...], str | None]:
    """Key of the evaluation of each row of a file, by method, task, seed and pre-training."""
    rows = plan.expand(found).rows
    return {
        (row.method, row.task, row.seed, row.pretrain_seed or 0): row.key for row in rows if row.evaluator == "cosine"
    }


def claims(read: Read) -> Iterator[tuple[str, Claim]]:
    for file in FILES:
        yield from ((file.stem, claim) for claim in read(f"claims/{file.stem}").claims)


def worlds(given: tuple[DataRef, ...]) -> frozenset[str]:
    return frozenset(ref.name for ref in given)


def test_there_are_thirty_claims_and_more(read: Read) -> None:
    said = [claim.say for _, claim in claims(read)]
    assert len(said) == len(set(said)) >= 30
    assert {claim.kind for _, claim in claims(read)} == {"better", "equal", "order"}


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_every_claim_has_seeds_worlds_and_both_directions(file: Path, read: Read) -> None:
    """A claim about adaptation covers each direction between its worlds, and all others cover at least two worlds."""
    found = read(f"claims/{file.stem}")
    tasks = {task.name: task for task in found.tasks}
    pretrained = {row.method for row in plan.expand(found).rows if row.pretrained}
    for claim in found.claims:
        on = [tasks[name] for name in claim.on]
        assert len(frozenset().union(*(worlds((task.target,)) for task in on))) >= 2, claim.say
        ways = {(worlds(task.source), worlds((task.target,))) for task in on}
        assert ways == {(target, source) for source, target in ways}, claim.say
        if pretrained & set(claim.rows):
            assert len(found.pretrain_seeds) >= LEAST, claim.say
        assert len(found.seeds) >= (LEAST_EACH if pretrained >= set(claim.rows) else LEAST), claim.say


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_every_file_says_what_its_budgets_and_settings_are(file: Path) -> None:
    comments = " ".join(line.lstrip("# ") for line in file.read_text().splitlines() if line.startswith("#"))
    assert re.search(r"Budgets(:| and settings)", comments)
    assert re.search(r"Settings(:| as in)|Budgets and settings as in", comments)
    assert re.search(r"minutes|hour", comments)
    for other in re.findall(r"[\w./-]+\.yaml", comments):
        assert (file.parent / other).exists(), other


def test_published_effects_are_those_of_the_components_tables(read: Read, registry: Registry) -> None:
    """Mean over the two directions, or over two data sets, of the difference of two published rows."""
    given = {
        (name, *claim.rows): claim.published.effect
        for name, claim in claims(read)
        if claim.published and claim.published.effect
    }
    assert set(given) == set(QUOTED)
    for key, ((*where, on), better, other) in QUOTED.items():
        gains = [published(registry, *where, better, task) - published(registry, *where, other, task) for task in on]
        assert given[key] == pytest.approx(sum(gains) / len(on), abs=1e-9), key


def test_numbers_in_words_are_those_of_the_components_tables(read: Read, registry: Registry) -> None:
    said = {
        (name, *claim.rows): [float(number) for number in re.findall(r"\d\d\.\d", claim.published.text)]
        for name, claim in claims(read)
        if claim.published and not claim.published.effect
    }
    assert {key for key, numbers in said.items() if numbers} == set(TOLD)
    for key, told in TOLD.items():
        assert said[key] == pytest.approx([published(registry, *where) for where in told], abs=1e-9), key


def published(registry: Registry, kind: str, component: str, source: str, row: str, task: str) -> float:
    """mAP in % in a component's table, of the row whose name ends with `row`."""
    paper = registry.components[kind, component].paper
    assert paper is not None
    (found,) = [
        one.value
        for one in paper.published
        if (one.metric, one.source, one.task) == ("mAP", source, task) and one.row.endswith(row)
    ]
    return 100 * found


@pytest.mark.parametrize(("name", "other", "rows"), SHARED, ids=[f"{name} {other}" for name, other, _ in SHARED])
def test_rows_that_another_file_has_are_its_results(name: str, other: str, rows: Mapping[str, str], read: Read) -> None:
    here, there = keys(read(f"claims/{name}")), keys(read(f"claims/{other}"))
    for row, of_other in rows.items():
        shared = [place for place in here if place[0] == row and (of_other, *place[1:]) in there]
        assert shared, row
        for place in shared:
            assert here[place] == there[(of_other, *place[1:])] is not None, place


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_no_seed_was_seen_before_the_claims(file: Path, read: Read) -> None:
    rows = plan.expand(read(f"claims/{file.stem}")).rows
    assert not SEEN & {seed for row in rows for seed in (row.seed, row.pretrain_seed)}


def test_the_page_has_every_file_and_says_which_were_not_run() -> None:
    """A section has the verdicts of the file's pack, or says that there is none."""
    assert sorted(SECTIONS) == sorted(file.stem for file in FILES)
    assert re.findall(r"^\| `(\S+)\.yaml` ", PAGE, re.MULTILINE) == list(SECTIONS)
    for name, section in SECTIONS.items():
        packs = re.findall(r"<!-- claims:(.*)-->", section)
        assert len(packs) + section.count("Not run in full yet.") == 1, name
        for words in packs:
            asked = tables.wanted(words, "claims")
            assert isinstance(asked, tables.WantedClaims)
            assert asked.packs == (f"benchmarks/results/packs/claims-{name}.zip",)
