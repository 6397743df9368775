"""Compare results with published numbers, and judge the claims of a matrix file.

Imports report's results and formats, matrix and metrics. Begin with `verdicts.py`, or with `published.py` for papers.
"""
