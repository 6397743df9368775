"""Export networks, features of images, and logs from a store for other programs.

Imports matrix, stages, store and training. Begin with `networks.py`.
"""
