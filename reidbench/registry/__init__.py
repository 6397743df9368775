"""Find plugins, check their declarations, and isolate broken ones.

Imports components, words, hookspecs and data. Begin with `plugins.py`, then `declarations.py`.
"""
