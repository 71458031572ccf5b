"""What is fast, how fast, and against whom: named measurements on experiments that are made for them."""
