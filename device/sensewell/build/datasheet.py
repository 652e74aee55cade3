"""A driver's table of datasheet figures -> its channels and the guard's limits by default, both in a manifest's words.

A driver's `table()` is one string, a line a channel: name, unit, scale, offset, then key=value:
    noise    standard deviation in counts at the driver's setting: makes stuck_n
    others   limits of the guard as they are, such as sat_hi_raw=32767

What a datasheet does not say is no limit: how fast a signal may change is known by the application alone.
"""

_LEAST_NOISE = 1  # counts: below it a signal may well stand still
_CERTAIN = 1e-9  # chance of a false "stuck" at any reading


def channels(part):
    """[{name, unit, scale, offset}] of a part."""
    found = []
    for line in part.table().strip().split("\n"):
        name, unit, scale, offset = line.split()[:4]
        unit = "" if unit == "-" else unit
        found.append({"name": name, "unit": unit, "scale": float(scale), "offset": float(offset)})
    return found


def limits(part):
    """[{limit: counts}] of a part, as Guard takes it."""
    found = []
    for line in part.table().strip().split("\n"):
        spec = {}
        for word in line.split()[4:]:
            key, _, value = word.partition("=")
            if key == "noise":
                n = stuck_n(float(value))
                if n:
                    spec["stuck_n"] = n
            else:
                spec[key] = int(value)
        found.append(spec)
    return found


def stuck_n(noise_raw):
    """Readings in a row that noise alone makes equal once in 1e9 times; 0: it may be constant for ever.

    One more normal reading equals the first, rounded, with a chance of at most p = 1 / (sigma sqrt(2 pi)); n - 1 of
    them with p ** (n - 1).
    """
    if noise_raw < _LEAST_NOISE:
        return 0
    chance = p = 0.399 / noise_raw
    n = 2
    while chance > _CERTAIN:
        chance *= p
        n += 1
    return max(n, 5)
