"""Attempts from a model: many views of each task, answered by vLLM or transformers."""
