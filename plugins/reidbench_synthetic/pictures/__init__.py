"""How somebody is seen: the camera, the scene behind, what stands in front, and the person as the camera sees it.

Imports rendering, `persons` and `worlds.py`. Begin with `figure.py`.
"""
