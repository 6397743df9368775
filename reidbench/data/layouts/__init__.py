"""How pictures and their labels lie on disk: folders whose file names carry the labels, and CSV manifests.

Imports the rest of data. Begin with `folders.py`.
"""
