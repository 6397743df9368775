"""A command that cannot be filled is an error with its line in the matrix file and a fix; nothing runs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from reidbench_command.params import AdaptParams, FinetuneParams
from reidbench_command.template import filled

from .conftest import Bench

EXTRACT = "e {images} {out}"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"extract": "e {imags} {out}"}, "extract has an unknown placeholder {imags}; did you mean {images}?"),
        ({"extract": "e {images}"}, "extract needs {out}"),
        ({"extract": "e {out}"}, "extract needs {images}"),
        ({"extract": "e '{images} {out}"}, "extract cannot be split into words: No closing quotation"),
        ({"extract": "  "}, "extract must name a program"),
        ({"extract": "e {images} {out} {model}"}, "extract has an unknown placeholder {model}"),
        ({"extract": EXTRACT, "train": "t {out}"}, "extract needs {model}"),
        ({"extract": "e {images} {out} {model}", "train": "t {source}"}, "train needs {out}"),
        (
            {"extract": "e {images} {out} {model}", "train": "t {target} {out}"},
            "write `adapt:` instead of `finetune:`",
        ),
        ({"extract": "e {images} {out} {cameras}"}, "unknown placeholder {cameras}"),
        ({"extract": EXTRACT, "cameras": True}, "cameras: true provides {cameras}, but no command uses it"),
        ({"extract": EXTRACT, "uses": ["truth"]}, "uses cannot include 'truth'"),
        ({"extract": EXTRACT, "env": {"A=B": "c"}}, "env: 'A=B' is not a valid variable"),
        ({"extract": EXTRACT, "minutes": 0}, "greater than 0"),
    ],
)
def test_mistakes(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FinetuneParams(**given)
    assert sentence in str(caught.value)


def test_an_adapter_must_ask_for_the_target() -> None:
    with pytest.raises(ValidationError, match=r"train needs \{target\}"):
        AdaptParams(extract="e {images} {out} {model}", train="t {source} {out}")
    with pytest.raises(ValidationError, match="Field required"):
        AdaptParams(extract=EXTRACT)


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (
            '{use: command, extract: "e {image} {out}"}',
            "extract has an unknown placeholder {image}; did you mean {images}?",
        ),
        (
            '{use: command, extract: "e {images} {out}", files: [a.py, b.py]}',
            "finetune.files.1: no such file or folder: ",
        ),
        (
            '{use: command, extract: "e {images} {out}", files: ["${NOWHERE}/b"]}',
            "the environment variable NOWHERE is not set",
        ),
        ('{use: command, extract: "e {images} {out}", lock: l.txt}', "finetune.lock: no such file: "),
        ('{use: command, extract: "e {images} {out}", folder: f}', "finetune.folder: no such folder: "),
        (
            '{use: command, extract: "e {images} {out}", uses: [ImageNet label]}',
            "protocol 'ImageNet label' is not a known word",
        ),
        ('{use: command, extract: "e {images} {out}", env: {A: 1}}', "finetune.env.A: must be text, not 1"),
        (
            '{use: command, extract: "e {images} {out}", files: a.py}',
            "finetune.files: must be a list, like [A, B], not 'a.py'",
        ),
        ("{use: command}", "finetuner command needs this parameter"),
    ],
)
def test_a_matrix_file_with_a_mistake_is_refused_with_its_place(step: str, sentence: str, bench: Bench) -> None:
    bench.program("a.py", "")
    (bench.folder / "matrix.yaml").write_text(
        bench.text().replace("methods: {}", f"methods: {{m: {{finetune: {step}}}}}")
    )
    problems = bench.problems()
    assert len(problems) == 1
    assert sentence in problems[0]
    assert "matrix.yaml:" in problems[0]


def test_words_are_split_before_they_are_filled() -> None:
    command = "p '--a={images}' {out} ${HOME} {seed}x"
    values = {"images": "/a b/$(c)'", "out": "o", "seed": "7"}
    assert filled(command, values, shell=False) == ["p", "--a=/a b/$(c)'", "o", "${HOME}", "7x"]
    shell = filled("p {images} | q ${HOME}", values, shell=True)  # noqa: S604 - it is the thing that is tested
    assert shell == ["/bin/sh", "-c", "p '/a b/$(c)'\"'\"'' | q ${HOME}"]
