"""Losses, schedules, optimiser steps and the loop over epochs.

Imports the devices of training and the contexts of components. Begin with `loop.py`.
"""
