"""The contrastive part: memory, losses of the views, and the three arms' loop.

Imports torch and this folder; `oracle.py` also uses the generator's `pictures.py`. Begin with `contrast.py`.
"""
