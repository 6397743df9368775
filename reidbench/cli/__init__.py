"""The command line: one module for each group of commands.

Imports everything below; nothing imports it. Begin with `main.py`.
"""
