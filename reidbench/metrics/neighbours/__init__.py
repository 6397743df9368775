"""Nearest and k-reciprocal neighbours among vectors.

Imports numpy, faiss where asked, and metrics' products. Begin with `neighbours.py`.
"""
