"""The stages of a run: train, infer, score, and what they share."""
