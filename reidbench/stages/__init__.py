"""Run one stage: reads a spec, publishes an artifact.

Imports matrix, store, registry, training and data. Begin with `spec.py`, then `run.py`.
"""
