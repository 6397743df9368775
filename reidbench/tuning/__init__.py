"""Searches: which trials there are, what came of them, and the benchmark with the winners in its rows.

Imports stages, matrix and store. Begin with `resolve.py`.
"""
