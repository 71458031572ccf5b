"""The made-up project of results."""

from tests.results.conftest import project

__all__ = ["project"]
