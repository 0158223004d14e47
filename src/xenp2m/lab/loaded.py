"""What ``xenp2m inspect --live`` consists of on this machine, as JSON: ``python -m xenp2m.lab.loaded``.

``interpreter`` is the program, ``loader`` what starts it, ``path`` where it looks for modules, ``libraries``
the shared libraries that it mapped, ``modules`` files and whole packages.
"""

from __future__ import annotations

import json
import os
import runpy  # noqa: F401 - what "python -m" uses
import sys
import sysconfig
from importlib import import_module
from pathlib import Path

_ENTRIES = ("xenp2m.cli.inspect", "xenp2m.cli.dumps", "xenp2m.check.inspected", "xenp2m.draw.inspection")
_ALSO = ("xenp2m.dump.live", "xenp2m.dump.inspection", "xenp2m.draw.console", "gzip", "json")


def main() -> None:
    """Import it all, and print where it came from."""
    for name in (*_ENTRIES, *_ALSO):
        import_module(name)
    modules = {str(path) for path in Path(sysconfig.get_path("stdlib")).glob("*.py")}
    for name, module in list(sys.modules.items()):
        if "." not in name and hasattr(module, "__path__"):
            modules |= set(module.__path__)
        elif getattr(module, "__file__", None):
            modules.add(str(module.__file__))
    mapped = [line.split(maxsplit=5)[5:] for line in Path("/proc/self/maps").read_text().splitlines()]
    libraries = {parts[0] for parts in mapped if parts and ".so" in parts[0]}
    value = {
        "interpreter": os.path.realpath(sys.executable),
        "loader": next((path for path in libraries if Path(path).name.startswith("ld-")), None),
        "path": [path for path in sys.path if path],
        "libraries": sorted(libraries),
        "modules": sorted(modules),
    }
    print(json.dumps(value))


if __name__ == "__main__":
    main()
