"""Parameter searches: their trials, the results, and the benchmark with the winners in its rows.

Imports stages, matrix and store. Begin with `resolve.py`.
"""
