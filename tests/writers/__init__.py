"""Tiny but correct dumps, written by the tests that read them."""
