"""Page table entries: their layout, their conversion, what faults on them, and how drivers write them."""
