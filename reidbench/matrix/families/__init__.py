"""Families of tasks: groups and their means, protocols of domain generalisation, and sequences of data sets.

Imports the benchmark. Begin with `groups.py`.
"""
