"""Body shape and pose from a picture: a network, its training bodies and its fitting.

Imports torch and structure's humanoid. Begin with `structures.py`.
"""
