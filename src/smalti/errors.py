"""The error of a user's wrong input. Imports nothing, so that help and refusals come at once."""


class InputError(ValueError):
    """The user's input is wrong; the message is a line with what is wrong and what is allowed.

    The command line prints that line and exits with code 2; any other error is a fault of smalti.
    """
