"""Run the missing stages of a plan, parents first, and report progress.

Imports stages, matrix and store. Begin with `executor.py`, then `runner.py`; `executors/` has the places where stages
run.
"""
