"""Small linear models, byte by byte as the table in sensewell/model/linear.py says, and what they mean."""

import struct

from forests import pow2


def linear(base, features, q=8):
    """base: of each margin; features: (shift, weights) of each, a weight for each margin."""
    n_classes = 2 if len(base) == 1 else len(base)
    data = struct.pack("<4sBBBB", b"SWLN", 1, q, len(features), n_classes)
    data += struct.pack("<%di" % len(base), *base)
    for shift, weights in features:
        data += struct.pack("<H%dh" % len(weights), shift, *weights)
    return data


def meaning(base, features, row, q=8):
    """(class, scores) by plain Python."""
    raw = list(base)
    for (shift, weights), x in zip(features, row):
        for m in range(len(raw)):
            raw[m] += weights[m] * x >> shift
    if len(raw) == 1:
        raw = [0] + raw
    best = raw.index(max(raw))
    parts = [pow2(raw[best] - r, q) for r in raw]
    return best, [(part << 14) // sum(parts) for part in parts]


def grow(random, n_features, margins, shifts=(14, 30)):
    """(base, features) of a random model that is sound."""
    base = [random.int16() * random.next(200) for _ in range(margins)]
    low, high = shifts
    features = [(low + random.next(high - low + 1), [random.int16() for _ in base]) for _ in range(n_features)]
    return base, features
