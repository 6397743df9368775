"""Run what a plan lacks, parents first, and show how it goes.

Imports stages, matrix and store. Begin with `executor.py`, then `runner.py`; `executors/` is where stages run.
"""
