"""How pictures and their labels lie on disk: folders whose file names carry the labels, CSV manifests, archives.

Imports the rest of data. Begin with `folders.py`.
"""
