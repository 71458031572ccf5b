"""Tiny models and trainings, and one thread."""

from tests.training.conftest import model_folder, one_thread, training

__all__ = ["model_folder", "one_thread", "training"]
