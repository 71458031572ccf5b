"""The sources of the tests of curation."""

from tests.curation.conftest import arc, root

__all__ = ["arc", "root"]
