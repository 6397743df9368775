"""Matrix files: what is read, and that every mistake is one sentence with file, line and cure."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reidbench.cli import main
from reidbench.errors import ConfigError
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry


def problems(file: Path, registry: Registry, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        reader.read(file, registry, overrides)
    return list(caught.value.problems)


def test_a_whole_file(matrix: Callable[..., Path], registry: Registry, market: Path) -> None:
    file = matrix(
        seeds="[3, 4]",
        data=f"{{a: {{use: market-folder, root: {market}}}, b: {{use: synthetic, size: tiny}}}}",
        tasks="{a->b: {source: [a, b], target: b, pool: a}, few: {source: {use: a, identities: 0.5}, target: a}}",
        methods="{bot: {finetune: {use: bot, epochs: 2, lr: 3e-4}}}",
        matrix="[{finetune: [none, {use: colour-histogram, bins: 4}]}]",
    )
    benchmark = reader.read(file, registry)
    assert benchmark.seeds == (3, 4)
    assert benchmark.image_size == (32, 16)
    assert [recipe.name for recipe in benchmark.methods] == ["bot", "none", "colour-histogram"]
    bot = benchmark.methods[0].steps[0][1]
    assert bot.resolved["epochs"] == 2
    assert bot.resolved["lr"] == 3e-4  # PyYAML reads 3e-4 as text
    assert benchmark.tasks[0].source[1].name == "b"
    assert benchmark.tasks[1].source[0].identities == 0.5
    assert benchmark.data["a"].root == market


def test_roots_are_relative_to_the_file(matrix: Callable[..., Path], registry: Registry, market: Path) -> None:
    file = matrix(data="{tiny: {use: market-folder, root: here}}")
    (file.parent / "here").symlink_to(market)
    assert reader.read(file, registry).data["tiny"].root == market


def test_overrides(matrix: Callable[..., Path], registry: Registry) -> None:
    file = matrix(methods="{bot: {finetune: {use: bot}}}")
    benchmark = reader.read(file, registry, ["seeds=[7]", "methods.bot.finetune.epochs=3"])
    assert benchmark.seeds == (7,)
    assert benchmark.methods[0].steps[0][1].resolved["epochs"] == 3
    assert "expected KEY=VALUE" in problems(file, registry, "nonsense")[0]


def test_merge_keys_and_anchors(matrix: Callable[..., Path], registry: Registry) -> None:
    file = matrix(methods="{a: {finetune: &bot {use: bot, epochs: 5}}, b: {finetune: {<<: *bot, epochs: 6}}}")
    steps = [recipe.steps[0][1].resolved["epochs"] for recipe in reader.read(file, registry).methods]
    assert steps == [5, 6]


def test_all_problems_at_once(matrix: Callable[..., Path], registry: Registry) -> None:
    file = matrix(
        titel="x",
        seeds="[0, 0]",
        tasks="{t: {source: nowhere, target: tiny, pools: tiny}}",
        methods="{m: {finetune: {use: bot, epoch: 3}}, n: {finetune: {use: bott}}, o: {pretrain: bot}}",
    )
    found = "\n".join(problems(file, registry))
    for words in (
        "titel: unknown key; did you mean 'title'?",
        "a seed appears twice",
        "unknown data set 'nowhere'",
        "pools: unknown key; did you mean 'pool'?",
        "methods.m.finetune.epoch: finetuner bot has no such parameter; did you mean 'epochs'?",
        "unknown finetuner 'bott'; did you mean 'bot'?",
        "unknown pretrainer 'bot'; it is of kind finetuner",
        "methods.o: needs `finetune` or `adapt`",
    ):
        assert words in found, words
    assert all(re.match(rf"{re.escape(str(file))}:\d+: ", line) for line in found.splitlines())


MALFORMED = {
    "unknown key": ("data: {}\nmethodz: {}\n", 2, "unknown key; did you mean 'methods'?"),
    "wrong type": ("image_size: wide\n", 1, "must be [height, width]"),
    "unknown component": ("backbone: {use: resnet-tinny}\n", 1, "did you mean 'resnet-tiny'?"),
    "missing data root": ("title: t\ndata:\n  m: {use: market1501, root: /not/there}\n", 3, "no such folder"),
    "alias of itself": ("title: t\ndata: &a\n  b: *a\n", 2, "alias contains itself"),
    "python tag": ("title: t\ndata: !!python/object/apply:os.system ['true']\n", 2, "tag"),
    "duplicate name": ("title: t\nmethods:\n  a: {}\n  a: {}\n", 4, "'a' appears twice (first on line 3)"),
    "empty file": ("", 1, "the file is empty"),
    "binary file": (b"\x89PNG\r\n\x1a\n\x00\xff", 1, "not a text file"),
    "list for a map": ("title: t\ndata: [a, b]\n", 2, "must be a map (key: value), not a list"),
    "tab": ("title: t\ndata:\n\tm: x\n", 3, "indent with spaces, not tabs"),
    "control characters": ("title: 'a\x07b'\n", 1, "control character"),
    "alias bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{c}: &{c} [{','.join(['*' + p] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)),
        1,
        "aliases expand to more than",
    ),
    "a key that is not a word": ("title: t\nno: x\n", 2, "put it in quotes"),
    "a name that is a number": ("data:\n  2: {use: synthetic}\n", 2, "the key '2' is read as 2; put it in quotes"),
    "a number twice": (
        "evaluate:\n  use: cosine\n  skip_cameras:\n    2: [1]\n    '2': [0]\n",
        5,
        "'2' appears twice (first on line 4)",
    ),
    "two documents": ("title: t\n---\ntitle: u\n", 2, "not YAML"),
    "unclosed": ("title: [1, 2\n", 2, "not YAML"),
    "bad root type": ("data:\n  m: {use: market1501, root: 3}\n", 2, "must be a path, not a number"),
    "no root": ("data:\n  m: {use: market1501}\n", 2, "needs `root:`"),
    "nested too deeply": ("a: " + "[" * 5000 + "]" * 5000, 1, "nested too deeply"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_files(name: str, tmp_path: Path, registry: Registry) -> None:
    content, line, words = MALFORMED[name]
    file = tmp_path / "bad.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = problems(file, registry)
    matching = [problem for problem in found if words in problem]
    assert matching, found
    if name != "alias bomb":
        assert matching[0].startswith(f"{file}:{line}: "), matching
    assert all("\n" not in problem and problem.isprintable() for problem in found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["python tag", "binary file", "tab", "empty file"])
def test_the_program_exits_with_2_and_no_traceback(name: str, tmp_path: Path) -> None:
    content = MALFORMED[name][0]
    file = tmp_path / "bad.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    command = [sys.executable, "-m", "reidbench", "run", str(file)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(f"{file}:")
    assert done.stdout == ""


def test_a_missing_file_is_one_sentence(tmp_path: Path, registry: Registry) -> None:
    assert "cannot be read: No such file" in problems(tmp_path / "none.yaml", registry)[0]


def test_what_is_wrong_with_all_parameters_together_ends_in_its_own_sentence(
    tmp_path: Path, matrix: Callable[..., Path], registry: Registry
) -> None:
    (tmp_path / "w.pth").touch()
    (tmp_path / "w.json").write_text("[1]")
    (found,) = problems(matrix(methods="{m: {pretrain: {use: weights, file: w.pth}, finetune: none}}"), registry)
    assert found.endswith("w.json, next to the weights, must be an object with mean and std")


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("seeds", "3", "must be a list of whole numbers"),
        ("seeds", "[]", "must be a list of whole numbers, like [0, 1, 2], not an empty list"),
        ("seeds", "[-1]", "must be a whole number >= 0"),
        ("seeds", "[true]", "must be a whole number >= 0"),
        ("threads", "0", "must be a whole number >= 1"),
        ("precision", "8", "must be one of"),
        ("image_size", "[32]", "must be [height, width]"),
        ("resize", "nearest", "resize: must be one of bilinear, bicubic, not 'nearest'"),
        ("resize_test", "[bicubic]", "resize_test: must be one of bilinear, bicubic, not"),
        ("crop_from", "yes", "crop_from: must be one of resized, original, not yes (which YAML reads as true)"),
        ("tasks", "{t: {source: tiny}}", "needs `target:`"),
        ("tasks", "{t: {target: [tiny, tiny]}}", "must be one data set"),
        ("tasks", "{t: {target: tiny, adapt_on: val}}", "must be train or test"),
        ("tasks", "{t: {target: tiny, source: {use: tiny, identities: 1}}}", "must be a fraction up to 1.0"),
        ("tasks", "{t: {target: {use: tiny, identities: 2}}}", "selects by labels"),
        ("evaluate", "[cosine, cosine]", "appears twice"),
        ("evaluate", "[]", "is empty, so no row would have a number"),
        ("evaluate", "{}", "with the name of an evaluator"),
        ("methods", "{m: {finetune: [none, bot]}}", "takes one component, not a list"),
        ("methods", "{m: {finetune: {epochs: 3}}}", "needs `use:`"),
        ("methods", "{m: {finetune: {use: bot, epochs: ten}}}", "must be a whole number, like 2, not 'ten'"),
        ("methods", "{m: {finetune: {use: bot, epochs: 0}}}", "greater than or equal to 1"),
        ("methods", "{m: {ensemble: [n]}}", "two or more methods"),
        ("methods", "{m: {finetune: none, flip_test: 1}}", "must be true or false, not 1"),
        ("flip_test", "often", "must be true or false, not 'often'"),
        ("methods", "{m: {ensemble: [n, o]}}", "'n' is not another method"),
        ("methods", "{m: {finetune: none, select: none}}", "the row has no `pretrain`"),
        ("backbone", "", "no backbone"),
    ],
)
def test_wrong_values(part: str, value: str, words: str, matrix: Callable[..., Path], registry: Registry) -> None:
    assert words in "\n".join(problems(matrix(**{part: value}), registry))


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("methods", "{m: {finetune: {use: bot, epochs: yes}}}", "epochs: must be a whole number, like 2, not yes ("),
        ("methods", "{m: {finetune: {use: bot, lr: on}}}", "lr: must be a number, like 2 or 0.5, not on (which YAML"),
        ("methods", "{m: {finetune: {use: bot, center_weight: true}}}", "must be a number, like 2 or 0.5, not true"),
        ("methods", "{m: {finetune: {use: bot, fast: 1}}}", "fast: must be true or false, not 1"),
        ("methods", "{m: {finetune: {use: bot, epochs: '1_000'}}}", "must be a whole number, like 2, not '1_000'"),
        ("methods", "{m: {finetune: {use: bot, lr: '3e-4'}}}", "must be a number, like 2 or 0.5, not '3e-4'"),
        ("methods", "{m: {finetune: {use: bot, milestones: [0.5, no]}}}", "milestones.1: must be a number, like 2 or"),
        ("methods", "{m: {adapt: {use: gcl, structure: {use: hmr, regressor: {use: hmr-training, epochs: on}}}}}",
         "adapt.structure.regressor.epochs: must be a whole number, like 2, not on (which YAML reads as true)"),
        ("methods", "{m: {finetune: {use: bot, milestones: [40, 70]}}}", "milestones.0: input should be less than or"),
        ("methods", "{m: {finetune: {use: bot, milestones: 40}}}", "milestones: must be a list, like [A, B], not 40"),
        ("methods", "{m: {finetune: {use: bot, epochs: }}}", "epochs: must be a whole number, like 2, not nothing"),
        ("methods", "{m: {finetune: {use: bot, lr: '0.1'}}}", "like 2 or 0.5, not '0.1'; write it without quotes"),
        ("methods", "{m: {finetune: no}}",
         "must be the name of a finetuner, or a map with `use: NAME`, not no (which YAML reads as false); put"),
        ("tasks", "{t: {target: tiny, source: off}}", "must be the name of a data set, or a map with `use: NAME`, not"),
        ("title", "2024", "title: must be text, not a number; put it in quotes"),
        ("title", "{~: a}", "the key '~' is read as nothing; put it in quotes"),
        ("seeds", "[]", "seeds: must be a list of whole numbers, like [0, 1, 2], not an empty list"),
        ("backbone", "{use: resnet18, last_stride: true}", "backbone.last_stride: must be one of 1, 2, not true"),
        ("backbone", "{use: resnet18, weights: 1e5}", "weights: must be text, not 1e5; put it in quotes"),
        ("seeds", "[0, yes]", "seeds.1: must be a whole number >= 0, not yes (which YAML reads as true)"),
        ("seeds", "[2024-01-01]", "must be a whole number >= 0, not '2024-01-01'"),
        ("pretrain_seeds", "[1e1]", "pretrain_seeds.0: must be a whole number >= 0, not 1e1"),
        ("prepare_seed", "off", "must be a whole number >= 0, not off (which YAML reads as false)"),
        ("threads", "true", "must be a whole number >= 1, not true"),
        ("devices", "{pretrain: yes}", "devices.pretrain: must be a whole number >= 1, not yes (which"),
        ("image_size", "[on, 64]", "must be [height, width] in pixels from 8 to 4096, not [on (which YAML"),
        ("tasks", "{t: {target: tiny, source: {use: tiny, identities: yes}}}", ">= 2, not yes (which YAML reads"),
    ],
)  # fmt: skip
def test_true_and_text_are_no_numbers(
    part: str, value: str, words: str, matrix: Callable[..., Path], registry: Registry
) -> None:
    found = problems(matrix(**{part: value}), registry)
    assert words in "\n".join(found)
    assert re.match(r".*matrix\.yaml:\d+: ", found[0])


def test_a_wrong_value_of_set_names_the_setting(matrix: Callable[..., Path], registry: Registry) -> None:
    file = matrix(methods="{bot: {finetune: {use: bot, epochs: yes}}}")
    (found,) = problems(file, registry, "methods.bot.finetune.epochs=on")
    assert found.startswith("--set 'methods.bot.finetune.epochs=on': methods.bot.finetune.epochs: must be a whole")
    assert found.endswith("not on (which YAML reads as true)")
    (found,) = problems(file, registry, "methods.bot.finetune.epochs=3", "seeds=[0, no]")
    assert found.startswith("--set 'seeds=[0, no]': seeds.1: must be a whole number >= 0, not no (which")
    benchmark = reader.read(file, registry, ["methods.bot.finetune.epochs=3", "methods.bot.finetune.lr=1e-3"])
    assert benchmark.methods[0].steps[0][1].resolved["lr"] == 1e-3


@pytest.mark.parametrize("value", ["1_000", "１２", "010", "0", "1:30", "yes", "2.0"])
def test_numbers_of_the_command_line_are_as_strict(value: str, matrix: Callable[..., Path]) -> None:
    done = CliRunner().invoke(main.app, ["run", str(matrix()), "--jobs", value])
    assert done.exit_code == 2
    assert "must be a whole number from 1" in " ".join(done.output.split())
    done = CliRunner().invoke(main.app, ["run", str(matrix()), "--time-limit", value.replace("2.0", "nan")])
    assert done.exit_code == 2


def test_a_combination_that_is_there_already(matrix: Callable[..., Path], registry: Registry) -> None:
    file = matrix(methods="{none: {finetune: none}}", matrix="[{finetune: [none]}]")
    assert "the combination 'none' already exists" in problems(file, registry)[0]


def test_the_known_keys_of_a_row_are_named_once(matrix: Callable[..., Path], registry: Registry) -> None:
    (problem,) = problems(matrix(methods="{bot: {finetune: bot, adap: none}}"), registry)
    known = problem.split("known: ")[1].rstrip(")").split(", ")
    assert known.count("select") == 1
    assert len(set(known)) == len(known)
