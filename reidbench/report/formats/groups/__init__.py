"""Numbers over several tasks: means of families, averages and forgetting of sequences.

Imports results and sentences. Begin with `numbers.py`; `columns.py` places them among the tasks of a table.
`Derived` in the matrix's `groups.py` defines the numbers of a group.
"""

from __future__ import annotations

from .columns import Column, columns, definitions, incomplete
from .numbers import averages, boards, forgetting
from .raw import raw

__all__ = ["Column", "averages", "boards", "columns", "definitions", "forgetting", "incomplete", "raw"]
