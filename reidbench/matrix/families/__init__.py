"""Families of tasks: their groups and means, the protocols of domain generalisation, and sequences of data sets.

Imports the benchmark. Begin with `groups.py`.
"""
