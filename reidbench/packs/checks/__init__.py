"""What a pack claims, held against what the verifier's own data, readers and evaluators give.

Begin with `verify.py`.
"""
