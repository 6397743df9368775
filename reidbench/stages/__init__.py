"""Run one stage: a spec in, an artifact out.

Imports matrix, store, registry, training and data. Begin with `spec.py`, then `run.py`.
"""
