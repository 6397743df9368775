"""Image formation: camera, scene, occluders, and the person as the camera sees it.

Imports rendering, `persons` and `worlds.py`. Start with `figure.py`.
"""
