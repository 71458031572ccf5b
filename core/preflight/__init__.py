"""Before a launch: what is missing, what looks mistaken, what it costs, what it can show."""
