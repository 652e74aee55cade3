"""Small forests, byte by byte as the table in sensewell/model/trees.py says: what tests of the walkers grow."""

import struct


def head(trees, nodes, slots, words, features=3, classes=3, total=1, bits=13, kind=1):
    return struct.pack("<4sBBBBHHHHHH", b"SWTF", 1, kind, features, classes, trees, nodes, slots, words, total, bits)


def node(feature, threshold, argument, left_leaf=0, right_leaf=0):
    return struct.pack("<HH", feature | left_leaf << 6 | right_leaf << 7 | argument << 8, threshold + 32768)


def halves(*values):
    return struct.pack("<%dH" % len(values), *values)


def votes(n, bits=13):
    """A row for each of n classes: the whole vote."""
    return halves(*[0x8000 | k << bits | 1 for k in range(n)])


def longs(*values):
    return struct.pack("<%di" % len(values), *values)


# a tree as (feature, threshold, left, right) or a leaf: a class number, or a value
def encode(tree, nodes, slots):
    """Append the tree in preorder; leaves take new slots, side by side."""
    if isinstance(tree, int):
        slots.append(tree)
        return
    feature, threshold, left, right = tree
    a, b = isinstance(left, int), isinstance(right, int)
    here = len(nodes)
    nodes.append(None)
    argument = len(slots)
    if a and b:
        slots += [left, right]
    elif a or b:
        slots.append(left if a else right)
    if not a:
        encode(left, nodes, slots)
    if not a and not b:
        argument = len(nodes) - here
    if not b:
        encode(right, nodes, slots)
    nodes[here] = node(feature, threshold, argument, a, b)


def lay(trees):
    """Nodes, records, slots of trees that share nothing."""
    body, records, table = [], [], []
    for tree in trees:
        nodes, slots = [], []
        encode(tree, nodes, slots)
        records += [len(nodes), len(table)]
        body += nodes
        table += slots
    return body, records, table


def forest(trees, features=3, classes=3, bits=13):
    body, records, table = lay(trees)
    start = head(len(trees), len(body), len(table), classes, features, classes, 1, bits)
    return start + b"".join(body) + halves(*(records + table)) + votes(classes, bits)


def sums(trees, link, q=8, base=(0,), limit=0, kind=3, features=3):
    """A forest of kind 3 or 4: leaves are values, one base a margin."""
    body, records, table = lay(trees)
    values = list(base)
    if link == 4:
        values.append(limit)
    if kind == 4:
        own = sorted(set(table))
        table = [len(values) + own.index(value) for value in table]
        values += own
    outputs = len(base) if link == 1 else 1 if link == 3 else 2
    start = head(len(trees), len(body), len(table), 2 * len(values), features, outputs, link, q, kind)
    return start + b"".join(body) + halves(*[v & 0xFFFF for v in records + table]) + longs(*values)


def pow2(d, q):
    """2**-(d / 2**q) in Q14, as the table says in words and tree_values.py in digits."""
    if d <= 0:
        return 16384
    octave, f = d >> q, d & (1 << q) - 1
    if octave > 14:
        return 0
    f = f >> q - 14 if q > 14 else f << 14 - q
    slope = 45326 - ((15148 - (2590 * f >> 14)) * f >> 14)
    return (16384 - (slope * f + 32768 >> 16)) >> octave


def meaning(trees, row, link, q=8, base=(0,), limit=0):
    """(class, scores) by plain Python."""
    raw = list(base)
    for t, tree in enumerate(trees):
        raw[t % len(raw)] += walk(tree, row)
    if link == 3:
        return 0, raw
    if link == 4:
        score = pow2(raw[0], q)
        return int(raw[0] < limit), [16384 - score, score]
    if link == 2:
        raw = [0] + raw
    best = raw.index(max(raw))
    parts = [pow2(raw[best] - r, q) for r in raw]
    return best, [(part << 14) // sum(parts) for part in parts]


def walk(tree, row):
    while not isinstance(tree, int):
        tree = tree[2] if row[tree[0]] <= tree[1] else tree[3]
    return tree


def grow(random, depth, leaf=None):
    """A random tree over 3 features; leaf(): a leaf, by default a class of 3."""
    if depth == 0 or random.next(8) == 0:
        return leaf() if leaf else random.next(3)
    feature, threshold = random.next(3), random.int16() // 4
    return feature, threshold, grow(random, depth - 1, leaf), grow(random, depth - 1, leaf)


def wide():
    """Two trees whose rows have two words an entry."""
    body, records, table = lay([(0, 7, (1, -9, 0, 2), (2, 0, 2, 0)), 2])
    words = (0, 40000, 0x8002, 20000, 0x8001, 60000)
    start = head(2, len(body), len(table), len(words), total=60000, bits=0, kind=2)
    return start + b"".join(body) + halves(*(records + table + list(words)))


def corpus(random):
    """Small forests of every kind and link, over 3 features: what mutations start from."""
    yield forest([grow(random, 4), SMALL, 1])
    yield forest([grow(random, 3) for _ in range(4)])
    packed = halves(0 | 600, 1 << 13 | 300, 0x8000 | 2 << 13 | 100, 0x8000 | 1 << 13 | 1000)
    yield head(1, 1, 2, 4, total=1000) + node(0, 0, 0, 1, 1) + halves(1, 0, 0, 3) + packed
    yield wide()
    for kind in (3, 4):
        for link in (1, 2, 3, 4):
            trees = [grow(random, 3, random.int16) for _ in range(3)]
            base = [random.int16() for _ in range(3 if link == 1 else 1)]
            yield sums(trees + [SMALL] * len(base), link, 3 + random.next(13), base, random.int16(), kind)


SMALL = (0, 5, (1, -7, 0, 1), (2, 100, 2, (1, 3, 1, 0)))
