"""Printers and painters; they judge nothing."""
