"""Read files that other people made: names, numbers and texts from them, tensors without running anything.

Imports errors only. Begin with `tensors.py`, which reads what torch.save and safetensors wrote.
"""
