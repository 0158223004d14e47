"""Page table entries: layout, conversion, faults, and how drivers map a BAR."""
