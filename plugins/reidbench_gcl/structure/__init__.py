"""Structure maps: bodies, rendered at turned angles.

Imports numpy, rendering and this folder. Begin with `providers.py`.
"""
