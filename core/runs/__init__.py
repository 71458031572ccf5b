"""What lies under `runs/`: folders, states, frozen tasks, records, progress."""
