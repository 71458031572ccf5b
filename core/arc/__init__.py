"""Grids, pairs, tasks and their symmetries: pure numpy, no files, no models."""
