"""Turn a YAML matrix file into a plan: stages with keys, and the rows that they end in.

Imports registry, components and data; it runs nothing. Begin with `kinds.py`, then `plan.py`; `reading/` reads the
file.
"""
