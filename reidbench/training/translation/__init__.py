"""Parts shared by trainings of image translation, such as camera styles: shuffled passes and pixels.

Imports random numbers and samplers of training. Begin with `passes.py`.
"""
