"""Persons: build, clothes and gait, drawn from a seed, with the resulting mesh and pose.

Imports rendering and this plugin's random numbers. Start with `identity.py`.
"""
