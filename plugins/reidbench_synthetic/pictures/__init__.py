"""Image formation: camera, scene, occluders, and the person as the camera sees it.

Imports rendering, `persons` and `worlds.py`. Begin with `figure.py`.
"""
