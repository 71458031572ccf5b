"""An experiment as files to keep or to mail."""
