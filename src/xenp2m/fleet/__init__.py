"""Fleets: many machines under several kernels, in tables that can be asked.

``run`` makes one, ``query`` asks it, ``questions`` has answers that are ready.
"""
