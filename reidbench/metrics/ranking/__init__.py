"""Rank a gallery for each query and score the ranking: AP, INP, CMC.

Imports numpy and metrics' errors and products. Begin with `ranking.py`.
"""
