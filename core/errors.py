"""The one error that people see.

Everything that a person can cause and mend (a missing source, a misspelt key, a full disk) is raised
as `UserError`; the command line and the pages print its sentence without a traceback. Anything else
that escapes is a defect of this project.
"""


class UserError(Exception):
    """One sentence that says what is wrong, followed by what to do about it."""


class Stopped(Exception):  # noqa: N818 - no error: what a person wanted
    """A person asked the work to stop. Whoever can keep what was reached does so and raises it again."""
