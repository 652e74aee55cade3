"""Names of features, for humans: read back from the plan that build/features.py made.

Nothing on the way from sample to decision may need them.
"""

from sensewell.build.features import FEATURES, KEYS


def names(features):
    """The features in the order of the vector: "std.c0", "band3-6.c7", "corr.c0.c1"."""
    run = features.run
    found = [""] * len(features.vector)
    i = 0
    while run[i] >= 0:
        c, _, plain, asked = run[i : i + 4]
        i += 4
        for _ in range(plain):
            found[run[i]] = "%s.c%d" % (FEATURES[run[i + 1]], c)
            i += 2
        for _ in range(asked):
            found[run[i]] = _name(run[i + 1], c, run[i + 2], run[i + 3])
            i += 4
    for j in range(i + 2, len(run), 5):
        found[run[j]] = _name(run[j + 1], run[j + 2], run[j + 3], run[j + 4])
    return found


def _name(op, c, a, b):
    name = FEATURES[op]
    keys = KEYS[op - len(FEATURES)]
    if "d" in keys:
        name += ".c%d.c%d" % (c, a)
        return name + ".c%d" % b if keys == "d e" else name
    if keys != " " and (a or keys != "h"):
        name += str(a)
    if "lo" in keys:
        name += "-%d" % b
    return "%s.c%d" % (name, c)
