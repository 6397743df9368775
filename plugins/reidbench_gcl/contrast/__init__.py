"""The contrastive part: memory, view losses and the generated views that it is given.

Imports torch and this folder; `oracle.py` also uses the generator's pictures. Begin with `contrast.py`.
"""
