"""Rendering of bodies: a rasteriser, a skeleton with meshes, and contact sheets, for plugins that render persons.

Imports data, files and metrics, but no plans, stores or plugins. Begin with `raster.py`.
"""
