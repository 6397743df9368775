"""Find plugins, check what they declare, and keep a broken one from stopping the others.

Imports components, words, hookspecs and data. Begin with `plugins.py`, then `declarations.py`.
"""
