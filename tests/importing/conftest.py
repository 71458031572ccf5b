"""The toy source of curation."""

from tests.curation.conftest import arc, public, root

__all__ = ["arc", "public", "root"]
