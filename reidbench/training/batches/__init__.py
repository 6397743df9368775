"""Build batches: decode, sample, augment.

Imports data and the devices of training. Start with `loading.py`.
"""
