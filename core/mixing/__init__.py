"""Mixtures of sources become training samples; what validation holds out is left out of them."""
