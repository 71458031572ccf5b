"""What lies under `runs/` of an experiment: its runs, its frozen tasks, its records, its notes."""
