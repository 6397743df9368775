"""Losses, schedules, the step of optimisers and the loop over epochs.

Imports training's devices and the contexts of components. Begin with `loop.py`.
"""
