"""Errors that a caller meets. Imports nothing, so that help and refusals come at once."""


class InputError(ValueError):
    """The user's input is wrong; the message is a line with what is wrong and what is allowed.

    The command line prints that line and exits with code 2; any other error is a fault of smalti.
    """


class CancelledError(Exception):
    """A long call was ended, because the event that it was given as `cancelled` was set.

    It returns nothing, and what it was given is as before. A canvas alone holds the codes that were
    drawn until then, and so does the file that drawing was asked to `keep`.
    """
