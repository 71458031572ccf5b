"""What to know before a number is believed: alarms, leaks, caveats."""
