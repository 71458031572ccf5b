"""The public sets, as the tests of curation import them."""

from tests.curation.conftest import public

__all__ = ["public"]
