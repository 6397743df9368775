"""What draws bodies: a rasteriser, a skeleton and its skins, contact sheets; for plugins that render persons.

Imports data, files and metrics, never plans, stores or plugins. Begin with `raster.py`.
"""
