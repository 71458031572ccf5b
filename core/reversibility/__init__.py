"""Whether a task can be turned around: evidence from its pairs, and suggestions learned from flags."""
