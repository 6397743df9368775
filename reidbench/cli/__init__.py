"""The command line: one module per group of commands.

Imports all other packages; none imports it. Begin with `main.py`.
"""
