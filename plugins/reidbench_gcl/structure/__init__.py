"""Structure maps: bodies, rendered at turned angles.

Imports numpy and this folder. Begin with `providers.py`.
"""
