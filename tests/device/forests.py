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


# a tree as (feature, threshold, left, right) or a class number
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


def forest(trees, features=3, classes=3):
    body, records, table = [], [], []
    for tree in trees:
        nodes, slots = [], []
        encode(tree, nodes, slots)
        records += [len(nodes), len(table)]
        body += nodes
        table += slots
    start = head(len(trees), len(body), len(table), classes, features, classes)
    return start + b"".join(body) + halves(*(records + table)) + votes(classes)


def walk(tree, row):
    while not isinstance(tree, int):
        tree = tree[2] if row[tree[0]] <= tree[1] else tree[3]
    return tree


def grow(random, depth):
    if depth == 0 or random.next(8) == 0:
        return random.next(3)
    return random.next(3), random.int16() // 4, grow(random, depth - 1), grow(random, depth - 1)


SMALL = (0, 5, (1, -7, 0, 1), (2, 100, 2, (1, 3, 1, 0)))
