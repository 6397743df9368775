"""Contexts are public, generic over their params, and cost no import of torch."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

import reidbench
from reidbench.hookspecs import HOOKS

CONTEXTS = {
    "selector": reidbench.SelectContext,
    "pretrainer": reidbench.PretrainContext,
    "preparer": reidbench.PrepareContext,
    "finetuner": reidbench.FinetuneContext,
    "adapter": reidbench.AdaptContext,
    "evaluator": reidbench.EvaluateContext,
}


class Rates(reidbench.Params):
    lr: float = 0.1


def test_each_kind_that_runs_in_a_stage_has_one_that_is_generic_over_its_params() -> None:
    assert set(HOOKS) - set(CONTEXTS) == {"dataset", "backbone"}
    for context in CONTEXTS.values():
        assert get_args(context[Rates]) == (Rates,)
        assert issubclass(context, reidbench.Context)


@pytest.mark.slow
def test_all_that_plugins_declare_with_is_imported_without_torch() -> None:
    code = (
        "import sys, reidbench\n"
        "for name in reidbench.__all__: getattr(reidbench, name)\n"
        "print([name for name in ('torch', 'lightning_fabric', 'sklearn', 'faiss') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
