"""The window: a ring of the last samples, moved on by a hop, with the share of good ones as its quality.

It must not know why a sample is bad, nor what is computed from it.
"""

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8, ptr16, ptr32

    const = micropython.const

# The block of state, array('i'), all values >= 0
_N = const(0)  # channels
_LENGTH = const(1)  # rows
_HOP = const(2)
_POS = const(3)  # the row that is written next; in a full ring the oldest
_FILLED = const(4)  # rows since the last break, at most _LENGTH
_LEFT = const(5)  # rows until a window is due
_GOOD = const(6)  # how many of the filled rows are good
_SAMPLES = const(7)  # rows ever pushed


class Window:
    """A ring of `length` rows of `n_channels`. A window is due `length` rows after a break, then every `hop` rows."""

    def __init__(self, n_channels, length, hop):
        from sensewell.build.stations import window

        self.rows, self._flags, self._s = window(n_channels, length, hop)

    @property
    def quality_pct(self):
        """Good rows among the rows in the ring, 0..100, rounded down; 0 for an empty ring."""
        block = self._s
        return block[_GOOD] * 100 // (block[_FILLED] or 1)

    @property
    def samples(self):
        """Rows ever pushed."""
        return self._s[_SAMPLES]

    def reset(self):
        """A break: what is in the ring does not go together with what comes."""
        block = self._s
        block[_POS] = block[_FILLED] = block[_GOOD] = 0
        block[_LEFT] = block[_LENGTH]

    @micropython.viper
    def push(self, row, good: int) -> bool:
        """Take `row`, array('h') with a count per channel (its length is not checked). True: a window is due now."""
        s = ptr32(self._s)
        flags = ptr8(self._flags)
        rows = ptr16(self.rows)
        x = ptr16(row)
        n = s[_N]
        pos = s[_POS]
        count = s[_GOOD]
        if s[_FILLED] == s[_LENGTH]:
            count -= flags[pos]
        else:
            s[_FILLED] = s[_FILLED] + 1
        if good:
            good = 1
        flags[pos] = good
        s[_GOOD] = count + good
        k = pos * n
        c = 0
        while c < n:
            rows[k] = x[c]
            k += 1
            c += 1
        pos += 1
        if pos == s[_LENGTH]:
            pos = 0
        s[_POS] = pos
        s[_SAMPLES] = s[_SAMPLES] + 1
        left = s[_LEFT] - 1
        if left:
            s[_LEFT] = left
            return False
        s[_LEFT] = s[_HOP]
        return True

    @micropython.viper
    def taint(self, n: int):
        """Mark the last `n` rows bad, or all there are: call it before the sample that brought the news is pushed."""
        s = ptr32(self._s)
        flags = ptr8(self._flags)
        if n > s[_FILLED]:
            n = s[_FILLED]
        pos = s[_POS]
        while n > 0:
            if pos == 0:
                pos = s[_LENGTH]
            pos -= 1
            s[_GOOD] = s[_GOOD] - flags[pos]
            flags[pos] = 0
            n -= 1

    @micropython.viper
    def read(self, channel: int, out):
        """Copy one channel to `out`, array('h') of at least `length`, oldest first. Raises ValueError if it cannot."""
        s = ptr32(self._s)
        rows = ptr16(self.rows)
        n = s[_N]
        filled = s[_FILLED]
        room = int(len(out))  # viper: an object until cast
        if channel < 0 or channel >= n or room < filled:
            raise ValueError("window.read")
        y = ptr16(out)
        i = 0
        k = channel
        end = filled
        if filled == s[_LENGTH]:  # the oldest row is at _POS: from there to the end of the ring, then from its start
            k += s[_POS] * n
            end -= s[_POS]
        while i < filled:
            if i == end:
                k = channel
            y[i] = rows[k]
            k += n
            i += 1
