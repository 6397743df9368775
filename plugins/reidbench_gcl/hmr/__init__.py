"""Body shape and pose from a picture: a network, its training bodies and its fitting.

Imports torch, rendering and structure. Begin with `structures.py`.
"""
