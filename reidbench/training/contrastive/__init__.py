"""Momentum contrast: two encoders, a queue, views, and the training loop of its pretrainers.

Imports the networks and batches of training; `params.py` is torch-free. Begin with `pretraining.py`.
"""
