"""Commands that use trained networks from a store: embed, export, search and serve.

Imports the options of the command line, export, retrieval and serving. Begin with `which.py` and `commands.py`.
"""
