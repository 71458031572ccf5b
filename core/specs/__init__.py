"""What an experiment shall be: specs, drafts of them, and how their settings differ."""
