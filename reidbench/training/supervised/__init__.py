"""Train an embedder on labelled identities: the loop, losses and checks of supervised methods.

Imports the networks, batches and optimisation of training, and data. Begin with `fit.py`.
"""
