"""Rules: plain threshold logic with hysteresis, dwell and priority; interlocks are rules nothing can override.

Data in, states out: a rule is numbers from the bundle, never code. Knows nothing of guards, windows or models.
"""

from array import array

from sensewell.refusal import Refused

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr16, ptr32

    const = micropython.const

# The block of state, array('i'). Values are compared in offset binary (count + 32768): every word is >= 0, so that a
# load means the same on 32 and 64 bits. "below" is "above" on the mirrored axis; the mask does both in one xor.
#   0 rules   1 of them on channels: these come first       then for each rule
#   0 rank: lower wins    1 channel or feature    2 mask (0x8000 above, 0x7FFF below)    3 limit    4 clear
#   5 bad counts as beyond the limit              6 interlock            7 dwell ms      8 clear dwell ms
#   9 active             10 a change is under way since                 11 (ticks ms)   12 number in the bundle
_HEAD = const(2)
_WORDS = const(13)


class Rules:
    """Rules of a bundle over raw channel counts (each sample) and over features (each window).

    specs: list of dicts as in the manifest; n_channels <= 16. A rule "above" trips when value > limit and clears
    when value <= clear; "below" trips when value < limit and clears when value >= clear; each after the evidence
    has lasted its dwell (ms). Values int16. Raises Refused("rules.index"/"rules.clear").

    After each step: `active` = number of the winning rule that is no interlock, `interlock` = number of the winning
    interlock, -1 = none; the highest priority wins, then the earlier in the bundle.
    """

    def __init__(self, specs, n_channels, n_features):
        self.names = tuple([spec["name"] for spec in specs])
        self.labels = bytes([spec["label"] for spec in specs])
        block = [len(specs), 0]
        order = sorted([(-spec.get("priority", 0), number) for number, spec in enumerate(specs)])
        for kind in ("channel", "feature"):
            for rank, (_, number) in enumerate(order):
                spec = specs[number]
                if kind not in spec["on"]:
                    continue
                index = spec["on"][kind]
                limit = spec["limit"]
                clear = spec.get("clear", limit)
                below = spec["when"] == "below"
                if not 0 <= index < (n_channels if kind == "channel" else n_features):
                    raise Refused("rules.index", spec["name"])
                if clear < limit if below else clear > limit:
                    raise Refused("rules.clear", spec["name"])
                mask = 0x7FFF if below else 0x8000
                block += [rank, index, mask, (limit & 0xFFFF) ^ mask, (clear & 0xFFFF) ^ mask]
                block += [spec.get("on_bad") == "trip", spec.get("interlock", False)]
                block += [spec.get("dwell_ms", 0), spec.get("clear_dwell_ms", 0), 0, 0, 0, number]
            if kind == "channel":
                block[1] = self.on_channels = len(block) // _WORDS
        self.on_features = len(specs) - self.on_channels
        self._state = array("i", [int(word) for word in block])
        self._verdict = array("H", [0])
        self.active = self.interlock = -1

    def reset(self):
        """All rules inactive, all dwells forgotten."""
        for at in range(_HEAD + 9, len(self._state), _WORDS):
            self._state[at] = self._state[at + 1] = 0
        self.active = self.interlock = -1

    def sample(self, row, verdicts, t_ms):
        """Step the channel rules: row array('h') of raw counts, verdicts array('H') per channel, t_ms 0..2**30-1.

        Returns 1 if an interlock tripped or cleared, else 0. No allocation.
        """
        return self.step(row, verdicts, t_ms, 0)

    def window(self, vector, trusted, t_ms):
        """Step the feature rules: vector array('h'); trusted 0 = the window is too bad to look at. As `sample`."""
        self._verdict[0] = 0 if trusted else 1
        return self.step(vector, self._verdict, t_ms, 1)

    def idle(self, t_ms):
        """No sample at all: for every rule that is a bad value. As `sample`."""
        self._verdict[0] = 1
        return self.step(self._verdict, self._verdict, t_ms, 2)

    @micropython.viper
    def step(self, values, verdicts, now: int, which: int) -> int:
        """Step the rules on channels (which 0, a verdict each), on features (1, one verdict) or all (2, one)."""
        # Bad values never help a rule to clear; they help it to trip only if it asks for that.
        s = ptr32(self._state)
        x = ptr16(values)
        v = ptr16(verdicts)
        at = _HEAD
        end = _HEAD + s[0] * _WORDS
        if which == 0:
            end = _HEAD + s[1] * _WORDS
        elif which == 1:
            at = _HEAD + s[1] * _WORDS
        told = 0
        changed = 0
        while at < end:
            active = s[at + 9]
            index = s[at + 1]
            bad = v[0]
            if which == 0:
                bad = v[index]
            evidence = 0
            if bad:
                if not active:
                    evidence = 2 - s[at + 5]  # 2: neither for nor against, a dwell already running goes on
            else:
                u = x[index] ^ s[at + 2]
                if active:
                    if u <= s[at + 4]:
                        evidence = 1
                elif u > s[at + 3]:
                    evidence = 1
            if evidence == 0:
                s[at + 10] = 0
            elif evidence == 1:
                if not s[at + 10]:
                    s[at + 10] = 1
                    s[at + 11] = now
                elapsed = (now - s[at + 11]) & 0x3FFFFFFF
                if elapsed < 0x20000000 and elapsed >= s[at + 7 + active]:
                    s[at + 9] = 1 - active
                    s[at + 10] = 0
                    changed = 1
                    told |= s[at + 6]
            at += _WORDS
        if changed:
            rule = 0 - 1
            interlock = 0 - 1
            rank = 0x7FFF
            lock_rank = 0x7FFF
            at = _HEAD
            end = _HEAD + s[0] * _WORDS
            while at < end:
                if s[at + 9]:
                    if s[at + 6]:
                        if s[at] < lock_rank:
                            lock_rank = s[at]
                            interlock = s[at + 12]
                    elif s[at] < rank:
                        rank = s[at]
                        rule = s[at + 12]
                at += _WORDS
            self.active = rule
            self.interlock = interlock
        return told

    def is_active(self, number):
        """True while rule `number` of the bundle is tripped (for the REPL and tests)."""
        for at in range(_HEAD + 12, len(self._state), _WORDS):
            if self._state[at] == number:
                return bool(self._state[at - 3])
        return False
