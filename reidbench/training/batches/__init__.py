"""Make batches: decode, sample, augment.

Imports data and training's devices. Begin with `loading.py`.
"""
