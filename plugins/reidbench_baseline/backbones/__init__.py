"""Published networks for re-identification: OSNet, MobileNetV2, SE-ResNet with IBN-a.

Imports training's networks and weights, and the plugin's residual networks. Begin with `declared.py`.
"""
