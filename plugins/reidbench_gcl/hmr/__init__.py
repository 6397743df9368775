"""Body shape and pose from an image: a network, its training bodies and its fitting.

Imports torch, rendering and structure. Begin with `structures.py`.
"""
