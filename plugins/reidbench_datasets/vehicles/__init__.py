"""Readers of vehicle data sets: VeRi-776, VehicleID and VERI-Wild.

Imports reidbench and the shared steps of all readers (`common.py` of the plugin). Begin with `veri776.py`, which needs
a rule for names and no list; `lists.py` reads the lists of the other two.
"""
