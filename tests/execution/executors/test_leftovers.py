"""Adoption of processes while stages run; tests/faults/test_detached.py and test_inline.py test the rest."""

from __future__ import annotations

import ctypes
import sys

import pytest

from reidbench.execution.executors.leftovers import PR_GET_CHILD_SUBREAPER, no_leftovers


def adopts() -> bool:
    found = ctypes.c_int(0)
    ctypes.CDLL(None).prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(found))
    return bool(found.value)


@pytest.mark.skipif(sys.platform != "linux", reason="subreapers are Linux's")
def test_blocks_that_overlap_leave_the_process_as_it_was() -> None:
    """Two threads run stages: the first to begin is the first to end, and the other still adopts."""
    assert not adopts()
    first, second = no_leftovers(), no_leftovers()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert adopts()
    second.__exit__(None, None, None)
    assert not adopts()
