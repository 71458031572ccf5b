"""Tiny models are trained on one thread here, too."""

from tests.training.conftest import one_thread

__all__ = ["one_thread"]
