"""Turn a YAML matrix file into a plan of stages with keys, and rows.

Imports registry, components and data; runs nothing. Begin with `kinds.py`, then `plan.py`; `reading/` reads the file.
"""
