"""Commands for results: tables, packs and their verification, claims, sites.

Imports the options of the command line, report and packs. Begin with `table.py`.
"""
