"""The command line: one module per group of commands.

Imports all other packages; none imports it. Start with `main.py`.
"""
