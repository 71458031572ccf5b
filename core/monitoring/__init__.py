"""Runs while they go on: clocks, loss curves, logs, an overview."""
