"""Files of groups: numbers come from the components' tables, and each mistake is named with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.errors import ConfigError
from reidbench.registry.plugins import Registry
from reidbench.report.claims.validity.groups import Group, read_groups

ROOT = Path(__file__).parents[4]
Read = Callable[[str], list[Group]]
GOOD = """groups:
  g:
    tasks: market1501
    rows:
      one: {component: bot, row: "+ BNNeck: no centre loss", note: mine}
      two: {component: bdb, row: "BDB, ResNet-50 from ImageNet, 384x128", source: official README}
"""


@pytest.fixture
def groups(tmp_path: Path, registry: Registry) -> Read:
    def read(written: str) -> list[Group]:
        (tmp_path / "groups.yaml").write_text(written)
        return read_groups(tmp_path / "groups.yaml", registry)

    return read


def test_numbers_are_those_of_the_components(groups: Read) -> None:
    (group,) = groups(GOOD)
    assert (group.name, group.title, group.tasks, group.across) == ("g", "g", ("market1501",), False)
    assert {
        row: {metric: one.value for (_, metric), one in stand.numbers.items()} for row, stand in group.rows.items()
    } == {
        "one": {"mAP": 0.857, "cmc1": 0.941},
        "two": {"mAP": 0.862, "cmc1": 0.953},
    }
    assert group.rows["one"].note == "mine"


def test_the_file_of_the_benchmarks_is_right(registry: Registry) -> None:
    """The published values as the papers print them; eight rows or more in two of its groups."""
    found = {group.name: group for group in read_groups(ROOT / "benchmarks" / "validity.yaml", registry)}
    assert list(found) == ["adaptation", "adaptation with parts", "supervised", "transformers", "starts"]
    there, back = "dukemtmc-reid->market1501", "market1501->dukemtmc-reid"
    numbers = {
        row: [stand.numbers[task, metric].value for task in (there, back) for metric in ("mAP", "cmc1")]
        for row, stand in found["adaptation"].rows.items()
    }
    assert numbers == {
        "direct": [0.206, 0.446, 0.169, 0.329],
        "hhl": [0.314, 0.622, 0.272, 0.469],
        "arn": [0.394, 0.703, 0.334, 0.602],
        "pseudo-label": [0.537, 0.758, 0.490, 0.684],
        "mmt": [0.712, 0.877, 0.631, 0.768],
        "spcl": [0.767, 0.903, 0.688, 0.829],
    }
    assert len(found["adaptation with parts"].rows) == 12
    market = {
        name: {row: stand.numbers["market1501", "mAP"].value for row, stand in found[name].rows.items()}
        for name in ("supervised", "transformers", "starts")
    }
    assert len(market["supervised"]) == 11
    assert market["supervised"]["bot, standard baseline"] == 0.74  # first and last step of BoT's ladder
    assert market["supervised"]["bot"] == 0.857
    assert sorted(market["transformers"].values()) == [0.868, 0.882, 0.889, 0.91, 0.913]
    assert market["starts"] == {"supervised, mgn": 0.875, "moco-v2, mgn": 0.9112, "up-reid, mgn": 0.911}


FAULTS = {
    "": "1: the file is empty; a groups file requires `groups:`",
    "groups: {}\n": "1: a groups file requires `groups:`",
    "group: {}\n": "1: group: unknown key; did you mean 'groups'? (known: groups)",
    "groups: [1]\n": "1: groups: must be a map (key: value), not a list",
    "groups:\n  g: {tasks: market1501}\n": "2: groups.g.rows: must be a map (key: value), not nothing",
    "groups:\n  g: {tasks: market1501, rows: {}}\n": "2: groups.g.rows: must name at least one row",
    GOOD.replace(
        "tasks: market1501", "tasks: [market1501, a1->b1]"
    ): "3: groups.g.tasks: mixes TARGET and SOURCE->TARGET",
    GOOD.replace("tasks: market1501", "tasks: [Market-1501]"): "3: groups.g.tasks: 'Market-1501' must be TARGET or",
    GOOD.replace("tasks: market1501", "tasks: []"): "3: groups.g.tasks: must name at least one, not an empty list",
    GOOD.replace("tasks: market1501", "tasks: [market1501, market1501]"): "3: groups.g.tasks.1: 'market1501' appears",
    GOOD.replace("tasks: market1501", "tasks: 3"): "3: groups.g.tasks: must be text, not 3",
    GOOD.replace("    tasks: market1501\n", ""): "2: groups.g.tasks: must be text, not nothing",
    GOOD.replace("tasks: market1501", "tasks: msmt17-v1"): "5: groups.g.rows.one: this row has no published number for",
    GOOD.replace("tasks: market1501", "tasks: [market1501, a1]"): "4: groups.g.rows: no row has a published",
    GOOD.replace("component: bot", "component: bott"): "5: groups.g.rows.one.component: unknown component with",
    GOOD.replace("component: bot, ", ""): "5: groups.g.rows.one: requires `component:`",
    GOOD.replace("no centre loss", "no center loss"): "5: groups.g.rows.one: bot has no published number with row",
    GOOD.replace(", source: official README", ""): "6: groups.g.rows.two: several rows match: choose one by",
    GOOD.replace("note: mine", "note: 3"): "5: groups.g.rows.one.note: must be text, not 3; put it in quotes",
    GOOD.replace("note: mine", "notes: mine"): "5: groups.g.rows.one.notes: unknown key; did you mean 'note'?",
    GOOD + "    left out: {x: }\n": "7: groups.g.left out.x: must be text, not nothing",
    GOOD + "    metrics: distance_crop\n": "7: groups.g.metrics: 'distance_crop' is not a fraction",
}


@pytest.mark.parametrize("written", FAULTS)
def test_a_mistake_is_named_with_its_line(written: str, groups: Read, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        groups(written)
    assert caught.value.problems[0].startswith(f"{tmp_path / 'groups.yaml'}:{FAULTS[written]}")


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml:1: cannot be read"):
        read_groups(tmp_path / "absent.yaml", registry)
