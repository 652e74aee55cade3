"""Refused: the one exception by which the board declines a bundle, a model or a setting.

Its `reason` is a short stable name such as `bundle.hash.model`; hosts and tests match on it.
"""


class Refused(ValueError):
    """`reason`: dotted name of what was wrong; `detail`: what was expected and what came (optional)."""

    def __init__(self, reason, detail=""):
        super().__init__(reason + ": " + detail if detail else reason)
        self.reason = reason
