"""Who is seen: a person's build, clothes and walk, drawn from a seed, and the mesh and pose that they give.

Imports rendering and this plugin's random numbers. Begin with `identity.py`.
"""
