"""Predictions and scores from other tools, and submissions for them."""
