"""Comparisons of methods: effects over seeds and pre-trainings, ranks over tasks, and agreement of two orders.

Imports numpy, scipy and the statistics of metrics. Begin with `effects.py`.
"""
