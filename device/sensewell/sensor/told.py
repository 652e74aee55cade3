"""Puts a sensor's own reason into each decision, so that `quality` also says `sensor.nack`.

An output of the node that comes before those that tell: outputs=(Told(sensor), print).
"""


class Told:
    """sensor: with `reason`, "" while all is well, `errors` and `last_reason`, as drivers and Several have them.

    What is wrong now is appended to the decision's note, or what has been wrong since the decision before.
    """

    def __init__(self, sensor):
        self.sensor = sensor
        self._errors = sensor.errors
        self._reason = ""
        self._note = None

    def __call__(self, decision):
        sensor = self.sensor
        reason = sensor.reason
        if sensor.errors != self._errors:
            self._errors = sensor.errors
            reason = sensor.last_reason
        if self._note is None:
            self._note = decision.note
        if reason != self._reason:
            self._reason = reason
            note = self._note
            decision.note = note + " " + reason if note and reason else note or reason
