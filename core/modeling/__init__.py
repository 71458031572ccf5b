"""Changes to how a model computes: attention in packed samples, adapters, the last block, the vocabulary."""
