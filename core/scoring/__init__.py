"""Attempts become scores: one row per test output, and the metrics that follow from it."""
