"""sensewell.model.linear: exact sums, or a refusal by name. Runs on CPython and on every board.

Builds its own small models, byte by byte as the table in linear.py says.
"""

import struct
import sys
from array import array

import linears
from lcg import Lcg
from sensewell.model.linear import Linear
from sensewell.refusal import Refused

try:
    import micropython
except ImportError:
    from sensewell._port import micropython
try:
    from uctypes import addressof
except ImportError:
    addressof = None

TOP = (1 << 29) - 1
REASONS = "truncated magic version extended schema header alignment overflow".split()
TURNS = 600 if sys.implementation.name == "micropython" else 12000
ODD = (0, 1, 30, 31, 0x7FFF, 0x8000, 0xFFFF)


def ask(base, features, row, q=8):
    """(class, scores) of the model."""
    n = max(2, len(base))
    scores = array("i", [77] * n)
    model = Linear(linears.linear(base, features, q), len(features), n)
    assert (model.n_outputs, model.score_total, model.engine) == (n, 16384, "viper")
    return model.predict(array("h", row), scores), list(scores)


def refusal(blob, n_features, n_classes):
    try:
        Linear(blob, n_features, n_classes)
    except Refused as refused:
        return refused.reason
    return None


def put(blob, at, *values):
    changed = bytearray(blob)
    for value in values:
        changed[at] = value
        at += 1
    return changed


def test_sums_agree_with_plain_python_and_on_every_platform():
    random = Lcg(3)
    checksum = 0
    for n_features, margins, q in ((1, 1, 0), (5, 1, 14), (28, 1, 12), (3, 3, 8), (7, 4, 15), (12, 9, 20), (96, 3, 30)):
        base, features = linears.grow(random, n_features, margins)
        n = max(2, margins)
        model = Linear(linears.linear(base, features, q), n_features, n)
        scores = array("i", [0] * n)
        for turn in range(12):
            row = array("h", [random.int16() >> turn for _ in range(n_features)])
            best, expected = linears.meaning(base, features, row, q)
            assert model.predict(row, scores) == best
            assert list(scores) == expected, (n_features, margins, q)
            checksum = (checksum * 31 + expected[0] * 3 + expected[-1] + best) % 65521
    assert checksum == 12598, checksum


def test_shifts_round_down_also_below_zero():
    for weight, x, shift in ((1, -1, 1), (-1, 1, 4), (3, -5, 2), (-32768, -32768, 15), (-32768, 32767, 15), (7, 7, 0)):
        raw = weight * x >> shift
        for base in (-raw, 1 - raw):
            assert ask([base], [(shift, [weight])], [x], 0)[0] == int(base + raw > 0)


def test_ties_go_to_the_lowest_class():
    assert ask([0], [(0, [1])], [0]) == (0, [8192, 8192])
    assert ask([-5], [(0, [1])], [5]) == (0, [8192, 8192])
    assert ask([-5], [(0, [1])], [6])[0] == 1
    assert ask([1, 0, 0], [(0, [0, 1, 1])], [1]) == (0, [5461, 5461, 5461])
    assert ask([0, 0, 0], [(0, [0, 1, 1])], [1])[0] == 1
    # by the sums, though the scores tie: one part of 2**30 is not seen in Q14
    assert ask([5, 6, 5], [(0, [0, 0, 0])], [9], 30) == (1, [5461, 5461, 5461])


def test_sums_reach_both_ends_of_their_range_and_no_further():
    wide = [(15, [-32768, 32767, 0])] * 96
    spare = TOP - 96 * (32768 + 1)
    for x in (-32768, 32767):
        for base in ([spare, -spare, 0], [-spare, spare, 0]):
            assert ask(base, wide, [x] * 96, 24) == linears.meaning(base, wide, [x] * 96, 24)
    for base in ([spare + 1, 0, 0], [0, -spare - 1, 0], [0, 0, -(1 << 31)], [1 << 29, 0, 0]):
        assert refusal(linears.linear(base, wide), 96, 3) == "model.overflow"
    one = [(2, [-32768])]  # its product alone is 2**30
    for base in (TOP - (1 << 28) - 1, (1 << 28) + 1 - TOP):
        assert refusal(linears.linear([base], one), 1, 2) is None
        for x in (-32768, 32767):
            assert ask([base], one, [x], 25) == linears.meaning([base], one, [x], 25)
        base += 1 if base > 0 else -1
        assert refusal(linears.linear([base], one), 1, 2) == "model.overflow"
    assert refusal(linears.linear([0], [(1, [-32768])]), 1, 2) == "model.overflow"
    assert refusal(linears.linear([0], [(0, [16383])]), 1, 2) is None
    assert refusal(linears.linear([0], [(0, [16384])]), 1, 2) == "model.overflow"


def test_there_may_be_255_classes_and_96_features():
    random = Lcg(9)
    base, features = linears.grow(random, 2, 255)
    row = [random.int16(), random.int16()]
    assert ask(base, features, row, 10) == linears.meaning(base, features, row, 10)


def test_malformed_models_are_refused_by_name():
    two = linears.linear([70000], [(15, [9]), (14, [-32768])])
    three = linears.linear([1, -2, 3], [(15, [9, 8, 7])])
    for blob, features, classes, reason in (
        (two, 2, 2, None),
        (three, 1, 3, None),
        (b"", 2, 2, "model.truncated"),
        (two[:7], 2, 2, "model.truncated"),
        (two[:-1], 2, 2, "model.truncated"),
        (two[:-2], 2, 2, "model.truncated"),
        (two + b"\0", 2, 2, "model.extended"),
        (three + bytes(8), 1, 3, "model.extended"),
        (put(two, 0, 83, 87, 84, 70), 2, 2, "model.magic"),  # that of forests
        (put(two, 4, 2), 2, 2, "model.version"),
        (put(two, 4, 0), 2, 2, "model.version"),
        (put(two, 5, 31), 2, 2, "model.header"),
        (put(two, 5, 255), 2, 2, "model.header"),
        (put(two, 5, 30), 2, 2, None),
        (two, 3, 2, "model.schema"),
        (two, 2, 3, "model.schema"),
        (three, 1, 2, "model.schema"),
        (put(two, 6, 3), 3, 2, "model.truncated"),
        (put(two, 6, 1), 1, 2, "model.extended"),
        (linears.linear([0], []), 0, 2, "model.header"),
        (linears.linear([0], [(15, [0])] * 96), 96, 2, None),
        (linears.linear([0], [(15, [0])] * 97), 97, 2, "model.header"),
        (put(two, 7, 1), 2, 1, "model.header"),  # one class: nothing to decide
        (put(two, 7, 0)[:-8], 2, 0, "model.header"),
        (put(two, 12, 31), 2, 2, "model.header"),  # shifts
        (put(two, 13, 1), 2, 2, "model.header"),
        (put(two, 12, 30), 2, 2, None),
        (put(two, 11, 0x20), 2, 2, "model.overflow"),  # the base
        (put(two, 11, 0x80), 2, 2, "model.overflow"),
        (put(two, 16, 1), 2, 2, "model.overflow"),
    ):
        assert refusal(blob, features, classes) == reason, (reason, refusal(blob, features, classes), bytes(blob))
    if addressof:
        for shift in (1, 2, 3, 4):
            moved = memoryview(bytearray(shift) + two)[shift:]
            assert refusal(moved, 2, 2) == ("model.alignment" if shift < 4 else None)


def test_vectors_of_another_length_are_refused():
    model = Linear(linears.linear([0, 0, 0], [(15, [1, 2, 3])] * 2), 2, 3)
    for n_features, n_scores in ((1, 3), (3, 3), (2, 2), (2, 4), (0, 0)):
        try:
            model.predict(array("h", [0] * n_features), array("i", [0] * n_scores))
            raise AssertionError((n_features, n_scores))
        except Refused as refused:
            assert refused.reason == "model.schema"


def test_mutants_are_refused_by_name_or_harmless():
    random = Lcg(17)
    seen = {}
    corpus = [(2, linears.grow(random, 4, 1)), (3, linears.grow(random, 3, 3)), (5, linears.grow(random, 1, 5))]
    corpus = [(n, len(made[1]), linears.linear(*made, q=12)) for n, made in corpus]
    for turn in range(TURNS):
        n, n_features, blob = corpus[turn % 3]
        changed = bytearray(blob)
        way = random.next(6)
        if way == 0:
            changed[random.next(len(changed))] ^= 1 << random.next(8)
        elif way == 1:
            changed[random.next(len(changed))] = random.next(256)
        elif way == 2:
            changed = changed[: random.next(len(changed))]
        elif way == 3:
            changed += b"\1" * (1 + random.next(4))
        elif way == 4:
            changed[4 + random.next(4)] = random.next(40)
        else:  # base, shifts, weights
            at = 8 + 2 * random.next((len(changed) - 8) // 2)
            struct.pack_into("<H", changed, at, (ODD + (random.next(65536),))[random.next(8)])
        if random.next(2) and len(changed) > 7:
            n_features, n = changed[6], changed[7]
        try:
            model = Linear(changed, n_features, n)
        except Refused as refused:
            assert refused.reason[:6] == "model." and refused.reason[6:] in REASONS, refused.reason
            seen[refused.reason] = seen.get(refused.reason, 0) + 1
            continue
        seen[""] = seen.get("", 0) + 1
        scores = array("i", [77] * n)
        row = array("h", [random.int16() >> random.next(12) for _ in range(n_features)])
        assert 0 <= model.predict(row, scores) < n
        assert min(scores) >= 0 and 16384 - n < sum(scores) <= 16384
    assert len(seen) >= 7 and seen[""] > TURNS // 8, seen


def test_prediction_leaves_the_heap_alone():
    base, features = linears.grow(Lcg(4), 6, 3)
    model = Linear(linears.linear(base, features, 10), 6, 3)
    row = array("h", [6, 3, 101, -9, 30000, -30000])
    scores = array("i", bytes(12))
    predict = model.predict
    micropython.heap_lock()
    best = model.predict(row, scores)
    again = predict(row, scores)
    micropython.heap_unlock()
    assert best == again
    assert (best, list(scores)) == linears.meaning(base, features, row, 10)
