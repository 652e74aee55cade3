"""Puts a sensor's own reason into each decision, so that `quality` also says `sensor.nack`.

An output of the node that comes before those that tell: outputs=(Told(sensor), print).
"""


class Told:
    """sensor: with `reason`, "" while all is well. Appends it to the decision's note."""

    def __init__(self, sensor):
        self.sensor = sensor
        self._reason = ""
        self._note = None

    def __call__(self, decision):
        reason = self.sensor.reason
        if self._note is None:
            self._note = decision.note
        if reason != self._reason:
            self._reason = reason
            note = self._note
            decision.note = note + " " + reason if note and reason else note or reason
