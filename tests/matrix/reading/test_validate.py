"""`validate:` in a matrix file: what is read, and that every mistake is one sentence with its line and its cure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reidbench.errors import ConfigError
from reidbench.matrix.benchmark import Validation
from reidbench.matrix.reading import reader
from reidbench.registry.plugins import Registry

DATA = "{tiny: {use: synthetic, seed: 1}, b: {use: synthetic, seed: 2}, third: {use: synthetic, seed: 3}}"
Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("{identities: 0.2}", Validation("identities", identities=0.2)),
        ("{identities: 12, seed: 4}", Validation("identities", identities=12, seed=4)),
        ("{data: third}", Validation("data", data="third")),
        ("{queries: validation}", Validation("queries")),
    ],
)
def test_of_a_file_and_of_a_task(text: str, meant: Validation, matrix: Write, registry: Registry) -> None:
    of_file = reader.read(matrix(data=DATA, validate=text), registry)
    assert (of_file.validate, of_file.tasks[0].validate) == (meant, None)
    of_task = reader.read(matrix(data=DATA, tasks=f"{{t: {{source: tiny, target: b, validate: {text}}}}}"), registry)
    assert (of_task.validate, of_task.tasks[0].validate) == (None, meant)


WRONG = {
    "0.2": "validate: must be a map, {identities: 0.2}, {data: NAME} or {queries: validation}, not 0.2",
    "": "validate: must be a map",
    "yes": "validate: must be a map, ... not yes",
    "[identities]": "validate: must be a map",
    "{}": "validate: must have exactly one of identities, data, queries, as in",
    "{identities: 0.2, data: third}": "validate: must have exactly one of identities, data, queries",
    "{identites: 0.2}": "validate.identites: unknown key; did you mean 'identities'?",
    "{identities: 0}": "validate.identities: must be a fraction below 1.0 or a whole number >= 2, not 0",
    "{identities: 1}": "validate.identities: must be a fraction below 1.0 or a whole number >= 2, not 1",
    "{identities: 1.0}": "validate.identities: must be a fraction below 1.0 or a whole number >= 2, not 1.0",
    "{identities: -0.1}": "validate.identities: must be a fraction",
    "{identities: yes}": "validate.identities: must be a fraction ... not yes",
    "{identities: some}": "validate.identities: must be a fraction",
    "{identities: }": "validate.identities: must be a fraction ... not nothing",
    "{identities: 0.2, seed: -1}": "validate.seed: must be a whole number >= 0, not -1",
    "{data: third, seed: 1}": "validate.seed: draws held-out identities and applies to `identities` only",
    "{data: thrid}": "validate.data: must be the name ... not 'thrid'; did you mean 'third'? (known: tiny, b, third",
    "{data: [third]}": "validate.data: must be the name of a data set under `data`",
    "{queries: test}": "validate.queries: must be validation, the data set's own validation part, not 'test'",
}


@pytest.mark.parametrize("text", WRONG)
def test_mistakes(text: str, matrix: Write, registry: Registry) -> None:
    file = matrix(data=DATA, validate=text or "null")
    with pytest.raises(ConfigError) as caught:
        reader.read(file, registry)
    assert all(part in str(caught.value) for part in WRONG[text].split(" ... ")), caught.value
    lines = file.read_text().splitlines()
    number = next(at for at, line in enumerate(lines, start=1) if line.startswith("validate:"))
    assert str(caught.value).startswith(f"{file}:{number}: validate")


@pytest.mark.parametrize("name", ["tiny", "b"])
def test_a_task_is_not_validated_on_its_own_data(name: str, matrix: Write, registry: Registry) -> None:
    tasks = f"{{t: {{source: tiny, target: b, validate: {{data: {name}}}}}}}"
    with pytest.raises(
        ConfigError, match=f"tasks.t.validate.data: '{name}' is already used in this task; name a data set"
    ):
        reader.read(matrix(data=DATA, tasks=tasks), registry)
