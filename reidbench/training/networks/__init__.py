"""Networks of methods: backbones, embedders, heads, normalisation.

Imports torch and errors. Begin with `backbone.py` and `embedder.py`.
"""
