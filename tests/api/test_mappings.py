"""A mapping is what the YAML would be: the same values, the same keys, and sentences that name its keys."""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reidbench.api.mappings import as_yaml, mapping_tree
from reidbench.errors import ConfigError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.matrix.reading.yamlfile import LARGEST, MOST_NODES, read_tree
from reidbench.registry.plugins import Registry

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
KEY = TEXT.filter(lambda text: bool(text.strip()) and text.isprintable())
LEAF = st.none() | st.booleans() | st.integers(-LARGEST + 1, LARGEST - 1) | TEXT
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    LEAF | NUMBERS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3)
)
ODD = ["3e-4", "010", "1:30", "yes", "null", "~", "08", "0o17", "1_000", "1e3", "2026-01-01", "=", "<<", "a: b",
       "#x", "- x", "", " x ", "line\nline", "\x85", "a\u2028b\x00", "\ufeff", "'", '"', "&a", "*a", "!x", "%", "@",
       "`", "1.", ".5e3", "+12e03", "0x10"]  # fmt: skip


def of(mapping: Any) -> Any:
    return mapping_tree(mapping, Path("/folder")).value


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEY, VALUES, min_size=1, max_size=4))
def test_the_yaml_of_a_mapping_reads_as_the_mapping(tmp_path_factory: Any, mapping: dict[str, Any]) -> None:
    file = tmp_path_factory.mktemp("yaml") / "matrix.yaml"
    tree = mapping_tree(mapping, file.parent)
    file.write_text(tree.source, encoding="utf-8", newline="")
    read = read_tree(file)
    assert read.value == tree.value == mapping
    assert repr(read.value) == repr(tree.value)  # 1 is not 1.0, nor is it True


@pytest.mark.parametrize("text", ODD)
def test_text_that_looks_like_something_else_stays_text(text: str, tmp_path: Path) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(as_yaml({"key": text, "list": [text]}))
    assert read_tree(file).value == {"key": text, "list": [text]}
    if text.strip() and text.isprintable():
        file.write_text(as_yaml({text: 1}))
        assert read_tree(file).value == {text: 1}


def test_what_programs_have_in_place_of_lists_and_numbers() -> None:
    plain = of(
        {
            "tuple": (1, 2),
            "range": range(3),
            "array": np.arange(2),
            "scalar": np.float32(0.5),
            "flag": np.bool_(True),
            "name": np.str_("x"),
            "folder": Path("a") / "b",
            "proxy": MappingProxyType({"a": OrderedDict(b=1)}),
        }
    )
    assert plain == {
        "tuple": [1, 2],
        "range": [0, 1, 2],
        "array": [0, 1],
        "scalar": 0.5,
        "flag": True,
        "name": "x",
        "folder": "a/b",
        "proxy": {"a": {"b": 1}},
    }
    assert {type(value) for value in plain.values()} == {list, float, bool, str, dict}


def test_a_part_that_appears_twice_is_written_twice() -> None:
    """No anchor: some readers refuse them, and none is needed."""
    step = {"use": "bot", "epochs": 2}
    assert "&" not in mapping_tree({"a": step, "b": [step, step]}, Path("/folder")).source


def contains_itself() -> dict[str, Any]:
    inner: list[Any] = []
    inner.append(inner)
    return {"a": {"b": inner}}


def test_a_whole_number_may_be_a_key_further_inside() -> None:
    assert of({"evaluate": {"skip_cameras": {2: [1], np.int64(5): [0]}}}) == {
        "evaluate": {"skip_cameras": {"2": [1], "5": [0]}}
    }


def deep(levels: int) -> dict[str, Any]:
    return {"a": deep(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ({"d": {"size": {1}}}, "d.size: must be a map, a list, text, a number, true, false or None, not set"),
        ({"seeds": (n for n in range(3))}, "seeds: must be a map, a list, text, .*, not generator"),
        ({"seeds": [0, b"1"]}, "seeds.1: must be .*, not bytes"),
        ({"title": math.nan}, "title: nan is not a finite number"),
        ({"a": [1.0, -math.inf]}, "a.1: -inf is not a finite number"),
        ({"seeds": [LARGEST]}, "seeds.0: 9223372036854775808 exceeds the range of 64-bit integers"),
        ({1: 2}, "the matrix: the key 1 must be text"),
        ({True: 2}, "the matrix: the key True must be text, such as 'on', which PyYAML reads as True"),
        ({"a": {None: 2}}, "a: the key None must be text"),
        ({"a": {1: 2}}, "a: the key 1 must be text"),
        ({"a": {"b": {True: 2}}}, "a.b: the key True must be text"),
        ({"a": {"b": {2: 2, "2": 3}}}, "a.b: '2' appears twice, as a number and as text"),
        ({"a": {"b\n": 2}}, r"a: the key 'b\\n' must be up to 500 printable characters"),
        ({"a": {" ": 2}}, "a: the key ' ' must be up to 500 printable characters"),
        ({"a": "\udc80"}, "a: .* contains an unpaired surrogate"),
        (contains_itself(), "a.b.0: contains itself"),
        (deep(100), "nested too deeply for a matrix"),
        ({"a": range(MOST_NODES)}, "the matrix: exceeds the limit of 50000 values and keys, or of 1 MiB"),
        ({"a": range(10**15)}, "the matrix: exceeds the limit of 50000 values"),
        ({"a": ["x" * 2**19] * 3}, "the matrix: exceeds the limit of .* or of 1 MiB"),
        ({"a": ["\u2603" * 2**18] * 2}, "the matrix: exceeds the limit of .* or of 1 MiB"),
        ({"a": [object()] * 150}, "the matrix: has more problems; these are the first"),
    ],
)  # fmt: skip
def test_what_yaml_cannot_say_is_refused_with_its_keys(mapping: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as raised:
        of(mapping)
    assert all(problem.isprintable() and len(problem) < 2100 for problem in raised.value.problems)


def test_several_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        of({"a": {1}, "b": [math.inf]})
    assert [problem.partition(":")[0] for problem in raised.value.problems] == ["a", "b.0"]


# ---------------------------------------------------------------------- compared with a file
def test_a_mapping_plans_what_its_file_plans(matrix: Callable[..., Path], registry: Registry) -> None:
    file = matrix(seeds="[0, 1]", methods="{untrained: {finetune: none}, bot: {finetune: {use: bot, epochs: 2}}}")
    mapping = yaml.safe_load(file.read_text())
    before = copy.deepcopy(mapping)
    ours = plan.expand(reader.read_from(mapping_tree(mapping, file.parent), registry))
    theirs = plan.expand(reader.read(file, registry))
    assert (list(ours.stages), ours.rows) == (list(theirs.stages), theirs.rows)
    assert mapping == before


MISTAKES: list[dict[str, Any]] = [
    {"seeds": [0, 0]},
    {"seeds": 3},
    {"metods": {}},
    {"methods": {"x": {"finetune": {"use": "bott"}}}},
    {"methods": {"x": {"finetune": {"use": "bot", "epochs": -1}}}},
    {"methods": {"x": {"ensemble": ["a", "b"]}}},
    {"methods": {"x": {"features": "nope.npz"}}},
    {"data": {"d": {"use": "market-folder", "root": "nope"}}},
    {"data": {"d": {"use": "market-folder", "root": "."}}},
    {"data": {"d": {"use": "market-folder", "root": "$NOT_SET_ANYWHERE/x"}}},
    {"tasks": {"t": {"source": "nope", "target": "tiny"}}},
    {"image_size": [0, 1]},
    {"matrix": [{"finetune": ["none", "none"]}]},
    {"expect": {"x": {"t": "row"}}},
]


@pytest.mark.parametrize("change", MISTAKES, ids=lambda change: as_yaml(change).strip().replace("\n", " "))
def test_mistakes_are_the_sentences_of_the_file_with_keys_in_place_of_lines(
    change: dict[str, Any], matrix: Callable[..., Path], registry: Registry
) -> None:
    file = matrix()
    mapping = yaml.safe_load(file.read_text()) | change
    file.write_text(as_yaml(mapping))

    def problems(read: Callable[[], Any]) -> list[str]:
        with pytest.raises(ConfigError) as raised:
            plan.expand(read())
        return list(raised.value.problems)

    ours = problems(lambda: reader.read_from(mapping_tree(mapping, file.parent), registry))
    theirs = problems(lambda: reader.read(file, registry))
    assert [problem.removeprefix("the matrix: ") for problem in ours] == [
        problem.removeprefix(f"{file}:").partition(": ")[2] for problem in theirs
    ]
    assert str(file) not in "".join(ours)


def test_what_set_has_changed_is_blamed_on_it(matrix: Callable[..., Path], registry: Registry) -> None:
    tree = mapping_tree(yaml.safe_load(matrix().read_text()), Path("/folder"))
    with pytest.raises(ConfigError, match=r"--set 'seeds=3': seeds: must be a list of whole numbers"):
        reader.read_from(tree, registry, ["seeds=3"])
