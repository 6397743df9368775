"""Commands about results: tables, packs, and checking those of others, sites.

Imports the options of the command line, report and packs. Begin with `table.py`.
"""
