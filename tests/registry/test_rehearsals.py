"""Declarations of a component for rehearsals must fit its parameters."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field

from reidbench import Component, Params, Uses
from reidbench.registry.rehearsals import rehearsal_fault


class Some(Params):
    epochs: int = Field(10, ge=1)
    inner: Uses["preparer", "target"] = Field({"use": "style"})


class Given(Params):
    """Has a parameter that only a matrix file can give."""

    file: str
    epochs: int = 10


@pytest.mark.parametrize(
    ("declared", "sentence"),
    [
        ({"rehearsal": {"epochs": 1}, "workload": "some.module:steps"}, ""),
        (
            {"rehearsal": {"epoch": 1}},
            "rehearsal: unknown parameter 'epoch'; did you mean 'epochs'? (known: epochs, inner)",
        ),
        ({"rehearsal": {"epochs": 0}}, "rehearsal: epochs: Input should be greater than or equal to 1"),
        ({"rehearsal": {"inner": {"use": "x"}}}, "rehearsal: 'inner' is a component, whose own `rehearsal` applies"),
        ({"rehearsal": [1]}, "rehearsal must be a map of parameters, not [1]"),
        ({"workload": "steps"}, "workload 'steps' must be 'module:function'"),
        ({"stand_in": "a module:f"}, "stand_in 'a module:f' must be 'module:function'"),
    ],
)
def test_what_does_not_fit_is_a_sentence(declared: dict[str, Any], sentence: str) -> None:
    assert rehearsal_fault(Component("some", "module:function", Some, **declared)) == sentence


def test_a_parameter_that_the_file_must_give_is_no_fault() -> None:
    assert rehearsal_fault(Component("some", "module:function", Given, rehearsal={"epochs": 1})) == ""
