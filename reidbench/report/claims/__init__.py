"""What is claimed beside what was measured: published numbers of papers, and claims of a matrix file with verdicts.

Imports report's results and formats, matrix and metrics. Begin with `verdicts.py` or, of papers, with `published.py`.
"""
