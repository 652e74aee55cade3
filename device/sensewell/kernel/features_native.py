"""The feature vocabulary in native code: what boards with the module `sensewell_features` run.

It plans as the viper code does and computes nothing itself. What each feature means: features.py.
"""

from array import array

from sensewell_features import compute, prepare


class Features:
    """As build/features.py plans it. `vector`: array('h'), an int16 for each of the specs."""

    engine = "native"

    def __init__(self, specs, n_channels, length, derived=()):
        from sensewell.build.features import plan

        self.run, self.vector, self.derived = plan(specs, n_channels, length, derived)
        self._work = prepare(self.run, self.derived, self.vector, n_channels, length)
        self._row = array("h", bytes(2 * length))  # for windows that are no sensewell.window.Window

    def compute(self, window):
        """Fill `.vector` from `window.read(channel, int16[length])`. Allocates nothing."""
        compute(self.run, self.derived, self.vector, self._work, window, self._row)
