"""Take networks and logs out of a store, for other programs.

Imports stages, store and training. Begin with `networks.py`.
"""
