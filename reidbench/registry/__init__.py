"""Find plugins, check what they declare, and keep a broken one from stopping the others.

Imports components, hookspecs and data. Begin with `plugins.py`.
"""
