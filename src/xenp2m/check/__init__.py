"""Judgements: BAR verdicts, findings, differences."""
