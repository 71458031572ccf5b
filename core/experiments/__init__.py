"""Specs, run folders and the stages that fill them."""
