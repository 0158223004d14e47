"""Memory setup: Machine + Rules + how much memory becomes a Guest."""

from xenp2m.boot.domu import domu_config, own_domu_config
from xenp2m.boot.guest import (
    BootLog,
    FrameCount,
    Guest,
    GuestConfig,
    OpKind,
    Origin,
    P2mOp,
    Placement,
)
from xenp2m.boot.host import Assumption, dom0_config, host_map
from xenp2m.boot.kernel import boot, publish
from xenp2m.boot.libxl import libxl_e820_host
from xenp2m.boot.memspec import MemorySpec

__all__ = [
    "Assumption",
    "BootLog",
    "FrameCount",
    "Guest",
    "GuestConfig",
    "MemorySpec",
    "OpKind",
    "Origin",
    "P2mOp",
    "Placement",
    "boot",
    "dom0_config",
    "domu_config",
    "host_map",
    "libxl_e820_host",
    "own_domu_config",
    "publish",
]
