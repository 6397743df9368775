"""Nearest and k-reciprocal neighbours among vectors.

Imports numpy, optionally faiss, and the products of metrics. Begin with `neighbours.py`.
"""
