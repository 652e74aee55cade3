"""Names and numbers of the guard's reasons; which rules are tripped. For humans, hosts and tests.

No node needs it: it must stay unimported there.
"""

# a verdict is a mask of these, see guard.py
REASONS = ("missing", "range", "saturated", "stuck", "spike", "rate", "stale", "disagree", "gap")
MISSING, RANGE, SATURATED, STUCK, SPIKE, RATE, STALE, DISAGREE, GAP = [1 << bit for bit in range(9)]
BAD = 255  # the reasons that spoil the sample itself: all but GAP


def names(verdict):
    """The names of a verdict's reasons, lowest bit first."""
    return [name for bit, name in enumerate(REASONS) if verdict >> bit & 1]


def tripped(rules, number):
    """True while rule `number` of the bundle is tripped; rules: the station."""
    state = rules._s  # see rules.py
    for at in range(2, len(state), 14):
        if state[at + 12] == number:
            return bool(state[at + 9])
    return False
