"""For plugin authors: the contract suite, tiny data on disk, a plugin that is not installed yet, a run in one call.

Imports check and what it stands on. Begin with `packages.py`.
"""

from __future__ import annotations

from reidbench.check import Example, check_plugin

from .folders import write_market_folder
from .matrices import run_matrix
from .packages import installed, make_plugin

__all__ = ["Example", "check_plugin", "installed", "make_plugin", "run_matrix", "write_market_folder"]
