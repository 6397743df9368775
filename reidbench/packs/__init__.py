"""Results outside a store: recorded boards, packs that can be merged, and the verification of packs.

Imports execution, report, stages, matrix, registry and store. Begin with `recorded.py`.
"""
