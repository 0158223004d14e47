"""Facts of real machines: memory maps and PCI BARs, with the source of each.

::

    from xenp2m import catalogue

    for entry in catalogue.entries():
        if not entry.lack:
            prediction = xenp2m.predict(entry.capture, "3.15")
    catalogue.lookup("Precision T7610").machine

The data are numbers and product names taken from public texts; ATTRIBUTION.md beside this module names every
source.  ``python -m xenp2m.catalogue.build`` makes both from records of machine facts.
"""

from xenp2m.catalogue.model import PREFIX, Entry, RecordKind, Source
from xenp2m.catalogue.store import entries, lookup, search

__all__ = ["PREFIX", "Entry", "RecordKind", "Source", "entries", "lookup", "search"]
