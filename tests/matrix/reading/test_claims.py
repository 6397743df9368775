"""`claims:` and `claim_rule:`: what is read of them, and one sentence with its line for each mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.errors import ConfigError
from reidbench.matrix import plan
from reidbench.matrix.benchmark import Benchmark
from reidbench.matrix.claims import Claim, ClaimRule, PublishedClaim
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry
from reidbench.testing import make_plugin

METHODS = "{colours: {finetune: colour-histogram}, bot: {finetune: bot}, untrained: {finetune: none}}"
TASKS = (
    "{tiny: {target: tiny, source: tiny}, again: {target: tiny}, reranked: {target: tiny, evaluate: k-reciprocal}, "
    "all but one: {leave-one-out: [tiny, other]}}"
)
RANKS = """
from reidbench import Component, Metric, Metrics, hookimpl

@hookimpl
def reidbench_evaluators():
    ranks = Metric("median-rank", better="lower", unit="rank", range=(1, None))
    return [Component("ranks", target="rank_plugin:evaluate", metrics=(ranks,))]

def evaluate(ctx):
    return Metrics({"median-rank": 2.0})
"""


@pytest.fixture
def claiming(matrix: Callable[..., Path], market: Path, registry: Registry) -> Callable[..., Benchmark]:
    """Claims read from a file with this YAML."""
    data = f"{{tiny: {{use: market-folder, root: {market}}}, other: {{use: synthetic}}}}"

    def read(claims: str, rule: str = "", tasks: str = TASKS, **parts: str) -> Benchmark:
        claims = f"[{claims}]" if not claims.startswith("=") else claims[1:]
        file = matrix(data=data, tasks=tasks, methods=METHODS, claims=claims, claim_rule=rule, **parts)
        return reader.read(file, registry)

    return read


ON = "on: [tiny, again]"


def test_a_claim_of_each_kind(claiming: Callable[..., Benchmark]) -> None:
    found = claiming(
        "{say: A, better: bot, than: untrained, on: tiny, published: {effect: 2.5, source: Table 5}}, "
        f"{{say: B, equal: [bot, colours, untrained], margin: 2, metric: cmc1, {ON}, published: equal in Fig. 2}}, "
        f"{{say: C, order: [bot, colours], {ON}, margin: 1, why: A sentence.}}"
    )
    assert found.claim_rule == ClaimRule(0.05, 3.0)
    assert found.claims == (
        Claim("A", "better", ("bot", "untrained"), "mAP", "cosine", ("tiny",), 0, 2.5, PublishedClaim("Table 5", 2.5)),
        Claim("B", "equal", ("bot", "colours", "untrained"), "cmc1", "cosine", ("tiny", "again"), 2, 3,
              PublishedClaim("equal in Fig. 2")),
        Claim("C", "order", ("bot", "colours"), "mAP", "cosine", ("tiny", "again"), 1, 3, None, "A sentence."),
    )  # fmt: skip
    assert [len(list(claim.pairs)) for claim in found.claims] == [1, 3, 1]


def test_the_rule_is_that_of_the_file(claiming: Callable[..., Benchmark]) -> None:
    claim = "{say: A, better: bot, than: colours, on: tiny"
    assert claiming(claim + "}", "{alpha: 0.01, effect: 2}").claim_rule == ClaimRule(0.01, 2)
    published = ", published: {effect: %s, source: T}"
    effects = [
        claiming(claim + more + "}", "{effect: 2}").claims[0].effect
        for more in ("", ", effect: 5", published % 1.5, published % 9, ", effect: 5" + published % 1.5)
    ]
    assert effects == [2, 5, 1.5, 2, 5]


def test_tasks_are_all_of_the_file_or_a_family(claiming: Callable[..., Benchmark]) -> None:
    tasks = "{tiny: {target: tiny}, all but one: {leave-one-out: [tiny, other]}}"
    found = claiming(
        "{say: A, better: bot, than: colours}, {say: B, better: bot, than: colours, on: [all but one]}", tasks=tasks
    )
    names = [task.name for task in found.tasks]
    assert len(names) == 3
    assert found.claims[0].on == tuple(names)
    assert found.claims[1].on == tuple(names[1:])


def test_the_evaluator_is_the_one_that_judges_all_tasks(claiming: Callable[..., Benchmark]) -> None:
    claim = "{say: A, better: bot, than: colours, "
    assert claiming(claim + "on: reranked}").claims[0].by == "k-reciprocal"
    several = {"evaluate": "[cosine, k-reciprocal]"}
    assert claiming(claim + "on: tiny, by: k-reciprocal}", **several).claims[0].by == "k-reciprocal"
    assert claiming(claim + "on: [tiny, reranked], by: k-reciprocal}", **several).claims[0].by == "k-reciprocal"


TWICE = "{say: A, better: bot, than: bot, by: [k-reciprocal, cosine], on: tiny"


def test_a_row_is_compared_with_itself_by_another_evaluator(claiming: Callable[..., Benchmark]) -> None:
    both = "[cosine, k-reciprocal]"
    (one,) = claiming(TWICE + "}", evaluate=both, tasks="{tiny: {target: tiny}}").claims
    assert one.sides == (("bot", "k-reciprocal"), ("bot", "cosine"))
    assert [tuple(map(one.name, pair)) for pair in one.pairs] == [("bot by k-reciprocal", "bot by cosine")]
    alike = "{say: A, equal: [bot, colours], margin: 1, by: [cosine, cosine]}"
    assert claiming(alike, evaluate=both, tasks="{tiny: {target: tiny}}").claims[0].by == "cosine"


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (TWICE.replace("[k-reciprocal, cosine]", "[k-reciprocal]"), "by: has 1 evaluators for 2 rows; name one for"),
        (TWICE.replace("[k-reciprocal", "[k-reciprocel"), "by.0: unknown evaluator 'k-reciprocel'; did you mean"),
        (TWICE.replace("[k-reciprocal", "[3"), "by.0: unknown evaluator 3"),
        (TWICE.replace("[k-reciprocal", "[cosine"), "than: the row 'bot' is repeated and cannot be compared with its"),
        (TWICE.replace("on: tiny", "on: again"), "by.0: k-reciprocal does not judge again; list fewer tasks in `on:`"),
        (TWICE + ", metric: mAPP", "by.0: k-reciprocal does not give mAPP"),
        ("{say: A, better: bot, than: bot, by: cosine, on: tiny", "than: the row 'bot' is repeated and cannot be comp"),
        ("{say: A, order: [bot, colours, bot], by: cosine, on: tiny", "order.2: the row 'bot' is repeated and cannot"),
    ],
)
def test_evaluators_of_rows_that_cannot_be_compared(claim: str, said: str, claiming: Callable[..., Benchmark]) -> None:
    tasks = "{tiny: {target: tiny}, again: {target: tiny, evaluate: cosine}}"
    with pytest.raises(ConfigError) as caught:
        claiming(claim + "}", evaluate="[cosine, k-reciprocal]", tasks=tasks)
    assert [said in problem for problem in caught.value.problems].count(True) == 1


def test_claims_change_no_key(claiming: Callable[..., Benchmark]) -> None:
    with_claims = plan.expand(claiming("{say: A, better: bot, than: colours, on: tiny}", "{alpha: 0.01}"))
    without = plan.expand(claiming(""))
    assert [row.key for row in with_claims.rows] == [row.key for row in without.rows]


BETTER = "{say: A, better: bot, than: colours, on: tiny"
FAULTS = {
    "={say: A}": "claims: must be a list of maps, not a map",
    "A": "claims.0: must be a map (key: value), not text",
    "{better: bot, than: colours, on: tiny}": "claims.0: needs `say:`, the claim as a sentence",
    "{say: 3, better: bot, than: colours, on: tiny}": "claims.0.say: must be text, not 3; put it in quotes",
    "{say: '', better: bot, than: colours, on: tiny}": "claims.0.say: must be text, not empty text",
    "{say: A, on: tiny}": "claims.0: needs `better: ROW` with `than: ROW`, `equal: [ROWS]` or `order: [ROWS]`",
    BETTER + ", order: [bot, colours]}": "claims.0: needs one of `better: ROW`",
    "{say: A, better: bot, on: tiny}": "claims.0: needs `than: ROW`, the row that the better one is compared with",
    "{say: A, better: bott, than: colours, on: tiny}": (
        "claims.0.better: unknown row 'bott'; did you mean 'bot'? (known: colours, bot, untrained)"
    ),
    "{say: A, better: [bot], than: colours, on: tiny}": "claims.0.better: must be the name of a row, not a list",
    "{say: A, better: bot, than: 3, on: tiny}": "claims.0.than: must be the name of a row, not 3; put it in quotes",
    "{say: A, better: bot, than: bot, on: tiny}": "claims.0.than: the row 'bot' is repeated",
    "{say: A, equal: bot, margin: 1, on: tiny}": "claims.0.equal: must be a list of two or more rows, not text",
    "{say: A, equal: [bot], margin: 1, on: tiny}": "claims.0.equal: must be a list of two or more rows, not ['bot']",
    "{say: A, order: [], on: tiny}": "claims.0.order: must be a list of two or more rows, not an empty list",
    "{say: A, order: [bot, colors], on: tiny}": "claims.0.order.1: unknown row 'colors'; did you mean 'colours'?",
    "{say: A, order: [bot, colours], than: untrained, on: tiny}": "claims.0.than: belongs to `better:`",
    "{say: A, equal: [bot, colours], on: tiny}": "claims.0: needs `margin:` above 0, in points",
    "{say: A, equal: [bot, colours], margin: 0, on: tiny}": "claims.0.margin: must be above 0, not 0",
    "{say: A, equal: [bot, colours], margin: 2, effect: 2, on: tiny}": (
        "claims.0.effect: is the smallest relevant difference; "
    ),
    BETTER + ", margin: -1}": "claims.0.margin: must be at least 0, not -1",
    BETTER + ", margin: yes}": "claims.0.margin: must be a number, not yes (which YAML reads as true)",
    BETTER + ", margin: .nan}": "'.nan' is not a finite number",
    BETTER + ", margin: 0.02}": (
        "claims.0.margin: is in points and must be at least 0.1, not 0.02; write 2 for 2 points"
    ),
    BETTER + ", margin: 100}": "claims.0.margin: must be below 100, the largest difference of two values of mAP",
    BETTER + ", effect: 0}": "claims.0.effect: must be above 0, not 0",
    BETTER + ", published: 3.1}": "claims.0.published: must be text, not 3.1",
    BETTER + ", published: {effect: 3.1}}": "claims.0.published: needs `source:`; write plain text for words alone",
    BETTER + ", published: {source: Table 5}}": "claims.0.published: needs `effect:`",
    BETTER + ", published: {effect: -1, source: T}}": "claims.0.published.effect: must be above 0",
    BETTER + ", published: {effect: 0.031, source: T}}": "claims.0.published.effect: is in points",
    "{say: A, order: [bot, colours], on: tiny, published: {effect: 2, source: T}}": (
        "claims.0.published.effect: compares two rows; describe in text what is published for `order:`"
    ),
    BETTER + ", metric: map}": "claims.0.metric: unknown metric of the file's evaluators 'map'; did you ",
    BETTER + ", by: cosin}": "claims.0.by: unknown evaluator 'cosin'; did you mean 'cosine'?",
    BETTER + ", by: k-reciprocal}": (
        "claims.0: no evaluator gives mAP on all of its tasks: k-reciprocal does not judge tiny; list fewer in `on:`"
    ),
    "{say: A, better: bot, than: colours}": "claims.0: no evaluator gives mAP on all of its tasks: cosine does ",
    "{say: A, better: bot, than: colours, on: tinny}": (
        "claims.0.on: unknown task 'tinny'; did you mean 'tiny'? (known: tiny, again, reranked, "
    ),
    "{say: A, better: bot, than: colours, on: [tiny, 3]}": "claims.0.on.1: unknown task 3",
    "{say: A, better: bot, than: colours, on: [tiny, tiny]}": "claims.0.on.1: the task 'tiny' is repeated",
    "{say: A, better: bot, than: colours, on: []}": "claims.0.on: must be a task or a list of tasks, not an empty list",
    BETTER + ", why: 3}": "claims.0.why: must be text, not 3",
    BETTER + ", becuase: x}": "claims.0.becuase: unknown key",
    BETTER + "}, {say: A, better: colours, than: bot, on: tiny}": (
        "claims.1.say: another claim says 'A'; reword one of them"
    ),
}  # fmt: skip


@pytest.mark.parametrize("claims", FAULTS)
def test_each_mistake_is_one_sentence_with_its_line(claims: str, claiming: Callable[..., Benchmark]) -> None:
    with pytest.raises(ConfigError) as caught:
        claiming(claims)
    (problem,) = caught.value.problems
    place, _, sentence = problem.partition(": ")
    assert place.endswith("matrix.yaml:8")
    assert sentence.startswith(FAULTS[claims])


RULES = {
    "{alpha: 0}": "claim_rule.alpha: must be above 0 and below 0.5, not 0",
    "{alpha: 5}": "claim_rule.alpha: must be above 0 and below 0.5, not 5",
    "{alpha: five}": "claim_rule.alpha: must be a number, not 'five'",
    "{effect: 0.03}": "claim_rule.effect: is in points (3 is 3 % mAP) and must be at least 0.1, not 0.03",
    "{effect: 300}": "claim_rule.effect: must be below 100, the largest difference of two values of mAP, not 300",
    "{effects: 3}": "claim_rule.effects: unknown key; did you mean 'effect'?",
    "[3]": "claim_rule: must be a map (key: value), not a list",
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_is_none(rule: str, claiming: Callable[..., Benchmark]) -> None:
    with pytest.raises(ConfigError) as caught:
        claiming(BETTER + "}", rule)
    assert [problem.partition(": ")[2] for problem in caught.value.problems if RULES[rule] in problem] != []
    assert len(caught.value.problems) == 1


def test_a_rule_without_claims_judges_nothing(matrix: Callable[..., Path], registry: Registry) -> None:
    with pytest.raises(ConfigError, match="claim_rule: has no effect: the file has no `claims:`"):
        reader.read(matrix(claim_rule="{alpha: 0.05}"), registry)


def test_several_evaluators_need_a_choice(claiming: Callable[..., Benchmark]) -> None:
    with pytest.raises(ConfigError) as caught:
        claiming(BETTER + "}", evaluate="[cosine, k-reciprocal]")
    assert "several evaluators give mAP: choose one with `by:`, cosine or k-reciprocal" in caught.value.problems[0]


def test_a_metric_that_is_not_in_percent_has_an_effect_of_its_own(
    matrix: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reidbench.registry import plugins

    make_plugin(tmp_path / "site", "rank_plugin", RANKS)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("REIDBENCH_PLUGINS", "reidbench-rank-plugin")
    registry = plugins.load()
    claim = "{say: A, better: bot, than: colours, metric: median-rank"

    def read(claims: str) -> Benchmark:
        return reader.read(matrix(methods=METHODS, evaluate="ranks", claims=f"[{claims}]"), registry)

    with pytest.raises(ConfigError, match=r"needs `effect:`, the smallest relevant difference: median-rank is in rank"):
        read(claim + "}")
    with pytest.raises(ConfigError, match="needs `metric:`, one of median-rank: no evaluator gives mAP"):
        read("{say: A, better: bot, than: colours}")
    found = read(claim + ", effect: 0.05, margin: 200}").claims[0]
    assert (found.effect, found.margin) == (0.05, 200)
    assert read("{say: A, equal: [bot, colours], metric: median-rank, margin: 1}").claims[0].margin == 1
