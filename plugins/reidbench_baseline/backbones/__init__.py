"""Networks for re-identification that others trained and published: OSNet, MobileNetV2, SE-ResNet with IBN-a.

Imports training's networks and weights, and the residual networks beside this folder. Begin with `declared.py`.
"""
