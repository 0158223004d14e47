"""Predict, inspect and compare the frame map (p2m) of Xen PV guests."""
