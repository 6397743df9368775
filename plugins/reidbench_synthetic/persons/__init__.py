"""Persons: build, clothes and gait, drawn from a seed, with the resulting mesh and pose.

Imports rendering and this plugin's random numbers. Begin with `identity.py`.
"""
