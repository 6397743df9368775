"""Train an embedder on labelled identities: the loop, the losses and the checks that supervised methods share.

Imports training's networks, batches and optimisation, and data. Begin with `fit.py`.
"""
