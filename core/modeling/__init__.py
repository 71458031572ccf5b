"""Changes to how a model computes: attention within packed samples, the last block, a smaller vocabulary."""
