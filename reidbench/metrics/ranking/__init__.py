"""Rank a gallery for each query and score the ranking: AP, INP, CMC.

Imports numpy, and the errors and products of metrics. Begin with `ranking.py`.
"""
