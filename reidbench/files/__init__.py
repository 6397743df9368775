"""Read files that other people made, tensors without running anything, and write files that appear whole.

Imports errors only. Begin with `tensors.py`, which reads what torch.save and safetensors wrote.
"""
