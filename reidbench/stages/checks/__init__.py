"""Checks of a stage's data: what a method was trained on, and whether the data are still those of the plan.

Imports matrix, store and data, and the stages around it. Begin with `unchanged.py`.
"""
