"""Real Xen and a real dom0, booted in QEMU under software emulation, held against the prediction."""
