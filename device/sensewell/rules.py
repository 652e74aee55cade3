"""Rules: plain threshold logic with hysteresis, dwell and priority; interlocks are rules nothing can override.

Data in, states out: a rule is numbers from the bundle, never code. Knows nothing of guards, windows or models.
"""

from array import array

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr16, ptr32, uint

    const = micropython.const

# The block of state, array('i'). Values are compared in offset binary (count + 32768): every word is >= 0, so that a
# load means the same on 32 and 64 bits. "below" is "above" on the mirrored axis; the mask does both in one xor.
#   0 rules   1 of them on channels: these come first       then for each rule
#   0 rank: lower wins    1 channel or feature    2 mask (0x8000 above, 0x7FFF below)    3 limit    4 clear
#   5 bad counts as beyond the limit              6 interlock            7 dwell ms      8 clear dwell ms
#   9 active             10 a change is under way since                 11 (ticks ms)   12 number in the bundle
#  13 the channels it is made of, a bit each
_HEAD = const(2)
_WORDS = const(14)


class Rules:
    """Rules of a bundle over raw channel counts (each sample) and over features (each window).

    specs: list of dicts as in the manifest; n_channels <= 16; features: for each the channels it is made of, as a mask.
    A rule "above" trips when value > limit and clears
    when value <= clear; "below" trips when value < limit and clears when value >= clear; each after the evidence
    has lasted its dwell (ms). Values int16. Raises Refused("rules.index"/"rules.clear").

    After each step: `active` = number of the winning rule that is no interlock, `interlock` = number of the winning
    interlock, -1 = none; the highest priority wins, then the earlier in the bundle.
    """

    def __init__(self, specs, n_channels, features=()):
        from sensewell.build.manifest import rules

        self.names, self.labels, self._s = rules(specs, n_channels, features)
        self.row = array("H", [0])
        self.active = self.interlock = -1

    def reset(self):
        """All rules inactive, all dwells forgotten."""
        for at in range(_HEAD + 9, len(self._s), _WORDS):
            self._s[at] = self._s[at + 1] = 0
        self.active = self.interlock = -1

    def window(self, vector, bad, t_ms):
        """Step the feature rules: vector array('h'); bad: mask of channels that are not to be believed. As `step`."""
        self.row[0] = bad
        return self.step(vector, self.row, t_ms, 1)

    def idle(self, t_ms):
        """No sample at all: for every rule that is a bad value. As `step`."""
        self.row[0] = 0xFFFF
        return self.step(self.row, self.row, t_ms, 2)

    @micropython.viper
    def step(self, values, verdicts, now: int, which: int) -> int:
        """Step the rules on channels (which 0, a verdict each), on features (1, a mask) or all (2, a mask).

        values: array('h') of raw counts or features; verdicts: array('H'), or a mask of bad channels in one; now: ticks
        ms, 0..2**30-1. Returns 1 if an interlock tripped or cleared, else 0. No allocation.
        """
        # Bad values never help a rule to clear; they help it to trip only if it asks for that.
        s = ptr32(self._s)
        x = ptr16(values)
        v = ptr16(verdicts)
        at = uint(s) + 4 * _HEAD
        left = s[0]
        if which == 0:
            left = s[1]
        elif which == 1:
            left -= s[1]
            at += 4 * _WORDS * s[1]
        told = 0
        changed = 0
        while left:
            q = ptr32(at)
            active = q[9]
            index = q[1]
            bad = v[0] & q[13]
            if which == 0:
                bad = v[index]
            evidence = 0
            if bad:
                if not active:
                    evidence = 2 - q[5]  # 2: neither for nor against, a dwell already running goes on
            else:
                u = x[index] ^ q[2]
                if active:
                    if u <= q[4]:
                        evidence = 1
                elif u > q[3]:
                    evidence = 1
            if evidence == 0:
                q[10] = 0
            elif evidence == 1:
                if not q[10]:
                    q[10] = 1
                    q[11] = now
                elapsed = (now - q[11]) & 0x3FFFFFFF
                if elapsed < 0x20000000 and elapsed >= q[7 + active]:
                    q[9] = 1 - active
                    q[10] = 0
                    changed = 1
                    told |= q[6]
            at += 4 * _WORDS
            left -= 1
        if changed:
            rule = 0 - 1
            interlock = 0 - 1
            rank = 0x7FFF
            lock_rank = 0x7FFF
            at = uint(s) + 4 * _HEAD
            left = s[0]
            while left:
                q = ptr32(at)
                if q[9]:
                    if q[6]:
                        if q[0] < lock_rank:
                            lock_rank = q[0]
                            interlock = q[12]
                    elif q[0] < rank:
                        rank = q[0]
                        rule = q[12]
                at += 4 * _WORDS
                left -= 1
            self.active = rule
            self.interlock = interlock
        return told
