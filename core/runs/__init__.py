"""A run under `runs/`: where its files lie, its state, its record, its progress."""
