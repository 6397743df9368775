"""The Python API behind `reidbench.run` and `reidbench.load`.

Imports execution, report, matrix and registry. Start with `calls.py`, then `results.py`.
"""
