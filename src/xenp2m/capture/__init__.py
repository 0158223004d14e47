"""Readers of the texts that people paste, and of our own machine JSON."""
