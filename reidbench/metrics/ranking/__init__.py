"""Rank a gallery for each query and score the ranking: AP, INP, CMC.

Imports numpy, and the errors and products of metrics. Start with `ranking.py`.
"""
