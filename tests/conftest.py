"""What holds for all tests: an example of a property has no deadline, which a busy machine would miss."""

from hypothesis import settings

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
