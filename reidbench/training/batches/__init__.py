"""Build batches: decode, sample, augment.

Imports data and the devices of training. Begin with `loading.py`.
"""
