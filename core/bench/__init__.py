"""What is fast, how fast, and against whom: named measurements."""
