"""What a pack claims, held against what the verifier's own data, readers and evaluators give.

Imports execution, stages, matrix, registry and store, and the packs around it. Begin with `verify.py`.
"""
