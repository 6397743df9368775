"""Tools for plugin authors: the contract suite, tiny data on disk, uninstalled plugins, a run in one call.

Imports check and its dependencies. Begin with `matrices.py`.
"""

from __future__ import annotations

from reidbench.check import Example, check_plugin
from reidbench.check.own import write_market_folder
from reidbench.registry.packages import installed, make_plugin

from .matrices import run_matrix

__all__ = ["Example", "check_plugin", "installed", "make_plugin", "run_matrix", "write_market_folder"]
