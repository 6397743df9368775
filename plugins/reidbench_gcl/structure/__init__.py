"""Structure maps: bodies, rendered at turned angles.

Imports numpy, rendering and this folder. Start with `providers.py`.
"""
