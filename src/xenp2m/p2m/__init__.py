"""The p2m in its two shapes, and the M2P."""
