"""SensewellError: what a user did, or the world did, that the tools cannot go on with.

One clear sentence: what was expected, what came, what to do. The command line prints it and exits with 1.
"""


class SensewellError(Exception):
    """An expected failure; anything else that is raised is a defect of Sensewell."""
