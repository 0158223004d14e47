"""``python -m xenp2m``."""

from xenp2m.cli import main

main()
