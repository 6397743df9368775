"""Methods compared: effects over seeds, ranks over tasks, and how far two orders agree.

Imports numpy, scipy and the statistics of metrics. Begin with `effects.py`.
"""
