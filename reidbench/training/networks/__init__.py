"""Networks of methods: backbones, embedders, heads, normalisation.

Imports torch and errors. Start with `backbone.py` and `embedder.py`.
"""
