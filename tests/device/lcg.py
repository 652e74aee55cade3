"""A small random generator that gives the same numbers on CPython and on every board."""


class Lcg:
    """Linear congruential, 16 bits of state. Its products may leave a small int: never call it with the heap locked."""

    def __init__(self, seed=1):
        self._state = seed & 0xFFFF

    def next(self, n):
        """A number in 0..n-1, n <= 65536."""
        self._state = (self._state * 25173 + 13849) & 0xFFFF
        low = self._state
        self._state = (self._state * 25173 + 13849) & 0xFFFF
        return ((self._state >> 8) << 8 | low >> 8) % n

    def int16(self):
        """A number in -32768..32767."""
        return self.next(65536) - 32768
