"""Artifacts on disk by key: visible only when complete, verified when read, locked while made.

Imports data, files and errors. Begin with `artifacts.py`.
"""
