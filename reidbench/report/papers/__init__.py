"""Published numbers beside measured ones: which may stand there, and what differs.

Imports report's results, and matrix. Begin with `published.py`, then `expected.py`.
"""
