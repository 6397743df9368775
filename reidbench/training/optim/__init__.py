"""Losses, schedules and the step of an optimiser.

Imports training's devices. Begin with `update.py`.
"""
