"""Memory setup: Machine + Rules + how much memory becomes a Guest."""
