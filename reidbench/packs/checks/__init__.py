"""Compare the claims of a pack with the verifier's own data, readers and evaluators.

Imports execution, stages, matrix, registry and store, and the packs around it. Begin with `verify.py`.
"""
