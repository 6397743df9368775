"""Where stages run. Every executor takes the same specs and gives the same results."""

from __future__ import annotations

from .base import Executor, OnEvent, Result
from .inline import Inline
from .process import Processes

NAMES = ("inline", "process")

__all__ = ["NAMES", "Executor", "Inline", "OnEvent", "Processes", "Result", "make"]


def make(name: str, jobs: int) -> Executor:
    """The executor of that name: `inline` (this process) or `process` (one subprocess a stage, `jobs` at a time)."""
    return Inline() if name == "inline" else Processes(jobs)
