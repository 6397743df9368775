"""The Python API behind `reidbench.run` and `reidbench.load`.

Imports packs, execution, report, matrix and registry. Begin with `results.py`.
"""
