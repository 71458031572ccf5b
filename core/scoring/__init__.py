"""Attempts become scores: one row per test output, from which every metric follows."""
