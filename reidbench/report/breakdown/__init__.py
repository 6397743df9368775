"""Breakdown of means: one row by camera, pair of cameras, person and query, and two rows by seeds and queries.

Imports the rest of report, metrics and the store. Begin with `parts.py`, or with `differences.py` for two rows.
"""
