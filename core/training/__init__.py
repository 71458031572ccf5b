"""Full and LoRA training of causal language models on samples from a mixture."""
