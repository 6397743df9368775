"""Layouts of images and labels on disk: folders whose file names contain the labels, CSV manifests, archives.

Imports the rest of data. Begin with `folders.py`.
"""
