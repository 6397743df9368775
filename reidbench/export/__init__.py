"""Take networks, features of any pictures, and logs out of a store, for other programs.

Imports matrix, stages, store and training. Begin with `networks.py`.
"""
