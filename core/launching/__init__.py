"""Launching, queueing and stopping runs on this machine."""
