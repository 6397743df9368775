"""Momentum contrast: two encoders, a queue, views, and the loop that its pretrainers share.

Imports training's networks and batches; `params.py` is free of torch. Begin with `pretraining.py`.
"""
