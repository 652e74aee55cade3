"""sensewell.model.trees: forests are walked exactly, or refused by name. Runs on CPython and on every board.

Builds its own small forests, byte by byte as the table in trees.py says.
"""

from array import array

from forests import SMALL, forest, grow, halves, head, longs, meaning, node, sums, walk
from lcg import Lcg
from sensewell.kernel.trees_viper import Forest as Viper
from sensewell.model import trees as chosen
from sensewell.refusal import Refused

try:
    import micropython
except ImportError:
    from sensewell._port import micropython
try:
    from uctypes import addressof
except ImportError:
    addressof = None

ENGINES = [Viper]
if chosen.sensewell_trees:
    from sensewell.kernel.trees_native import Forest as Native

    ENGINES.append(Native)
else:
    print("no native module here: viper alone")

OUTPUTS = (0, 3, 2, 1, 2)  # by link, in these tests


def ask(blob, row, features=3, classes=3):
    """(class, scores) of every engine: they must agree."""
    said = []
    for engine in ENGINES:
        scores = array("i", [77] * classes)
        best = engine(blob, features, classes).predict(array("h", row), scores)
        said.append((best, list(scores)))
    assert said[0] == said[-1], said
    return said[0]


def refusal(blob, features=3, classes=3):
    """Why every engine refuses it, or None: they must agree."""
    said = []
    for engine in ENGINES:
        try:
            engine(blob, features, classes)
            said.append(None)
        except Refused as refused:
            said.append(refused.reason)
    assert said[0] == said[-1], said
    return said[0]


def put(blob, at, *values):
    changed = bytearray(blob)
    for value in values:
        changed[at] = value
        at += 1
    return changed


def test_the_engine_is_native_where_there_is_one():
    assert chosen.Forest is ENGINES[-1]
    assert chosen.Forest.engine == ("native" if chosen.sensewell_trees else "viper")


def test_the_threshold_itself_goes_left_at_every_extreme():
    for threshold in (-32768, -32767, -1, 0, 1, 32765, 32766):
        blob = forest([(1, threshold, 0, 1)])
        assert ask(blob, [0, threshold, 0])[0] == 0
        assert ask(blob, [0, threshold + 1, 0])[0] == 1
        assert ask(blob, [0, 32767, 0])[0] == 1
        assert ask(blob, [0, -32768, 0])[0] == 0


def test_each_kind_of_node_leads_where_the_table_says():
    blob = forest([SMALL])
    for row, leaf in (
        ((5, -7, 0), 0),
        ((5, -6, 0), 1),
        ((6, 0, 100), 2),
        ((6, 3, 101), 1),
        ((6, 4, 101), 0),
    ):
        assert ask(blob, row) == (leaf, [int(k == leaf) for k in range(3)])


def test_a_tree_may_be_a_single_leaf_and_ties_go_to_the_lowest_class():
    assert ask(forest([2]), [0, 0, 0]) == (2, [0, 0, 1])
    assert ask(forest([2, (0, 0, 1, 0), 2, 1]), [0, 0, 0]) == (1, [0, 2, 2])


def test_soft_rows_are_summed_packed_and_wide():
    packed = halves(0 | 600, 1 << 13 | 300, 0x8000 | 2 << 13 | 100, 0x8000 | 1 << 13 | 1000)
    blob = head(1, 1, 2, 4, total=1000) + node(0, 0, 0, 1, 1) + halves(1, 0, 0, 3) + packed
    assert ask(blob, [0, 0, 0]) == (0, [600, 300, 100])
    assert ask(blob, [1, 0, 0]) == (1, [0, 1000, 0])
    wide = halves(0, 40000, 0x8002, 20000, 0x8001, 60000)
    blob = head(1, 1, 2, 6, total=60000, bits=0, kind=2) + node(0, 0, 0, 1, 1) + halves(1, 0, 0, 2) + wide
    assert ask(blob, [0, 0, 0]) == (0, [40000, 0, 20000])
    assert ask(blob, [1, 0, 0]) == (1, [0, 60000, 0])
    for engine in ENGINES:
        model = engine(blob, 3, 3)
        assert (model.score_total, model.n_features, model.n_outputs) == (60000, 3, 3)


def test_random_forests_agree_with_a_plain_walk_and_on_every_platform():
    random = Lcg(7)
    checksum = 0
    for _ in range(6):
        trees = [grow(random, 5) for _ in range(5)]
        models = [engine(forest(trees), 3, 3) for engine in ENGINES]
        scores = array("i", [0] * 3)
        for _ in range(30):
            row = array("h", [random.int16() // 3 for _ in range(3)])
            expected = [0] * 3
            for tree in trees:
                expected[walk(tree, row)] += 1
            for model in models:
                best = model.predict(row, scores)
                assert list(scores) == expected
                assert best == expected.index(max(expected))
            checksum = (checksum * 31 + scores[0] * 9 + scores[1] * 3 + best) % 65521
    assert checksum == 32795, checksum


def test_sums_of_every_kind_and_link_agree_with_plain_python_and_on_every_platform():
    random = Lcg(5)
    checksum = 0
    for kind in (3, 4):
        for link in (1, 2, 3, 4):
            for q in (0, 8, 14, 15, 30):
                shift = 0 if kind == 3 else random.next(9)
                trees = [grow(random, 4, lambda: (random.int16() << shift) >> random.next(10)) for _ in range(6)]
                base = [random.int16() * random.next(900) for _ in range(3 if link == 1 else 1)]
                limit = random.int16()
                blob = sums(trees, link, q, base, limit, kind)
                models = [engine(blob, 3, OUTPUTS[link]) for engine in ENGINES]
                scores = array("i", [0] * OUTPUTS[link])
                for _ in range(12):
                    row = array("h", [random.int16() // 3 for _ in range(3)])
                    best, expected = meaning(trees, row, link, q, base, limit)
                    for model in models:
                        assert model.score_total == (0 if link == 3 else 16384)
                        assert model.predict(row, scores) == best
                        assert list(scores) == expected, (kind, link, q)
                    checksum = (checksum * 31 + expected[0] * 3 + expected[-1] + best) % 65521
    assert checksum == 31440, checksum


def test_sums_that_tie_go_to_the_lowest_class():
    assert ask(sums([5, 7, 7], 1, base=(0, 0, 0)), [0, 0, 0])[0] == 1
    assert ask(sums([5, 5, 5], 1, base=(0, 0, 0)), [0, 0, 0]) == (0, [5461, 5461, 5461])
    assert ask(sums([5, 4], 2, base=(-9,)), [0, 0, 0], 3, 2) == (0, [8192, 8192])
    assert ask(sums([5, 5], 2, base=(-9,)), [0, 0, 0], 3, 2)[0] == 1
    assert ask(sums([7], 4, limit=7), [0, 0, 0], 3, 2)[0] == 0
    assert ask(sums([6], 4, limit=7), [0, 0, 0], 3, 2)[0] == 1
    # by the sums, though the scores tie: one part of 2**30 is not seen in Q14
    assert ask(sums([5, 6, 5], 1, 30, (0, 0, 0)), [0, 0, 0]) == (1, [5461, 5461, 5461])


def test_powers_of_two_are_right_to_two_parts_of_16384():
    for q in (0, 3, 14, 15, 24):
        for k in range(40):
            d = k * 3 if q < 4 else (k << q) // 3 + k
            if d >> 29:
                continue
            _, (rest, power) = ask(sums([0], 4, q, (d,)), [0, 0, 0], 3, 2)
            assert abs(power - 16384 * 2 ** -(d / (1 << q))) <= 2, (q, d, power)
            assert rest + power == 16384
    assert ask(sums([-1], 4, 8), [0, 0, 0], 3, 2)[1] == [0, 16384]
    assert ask(sums([0], 4, 0, (15,)), [0, 0, 0], 3, 2)[1] == [16384, 0]


def test_sums_reach_both_ends_of_their_range_and_no_further():
    top = (1 << 29) - 1
    for kind, value in ((3, 32767), (3, -32768), (4, 100000000), (4, -100000000)):
        base = 2 * abs(value) - top if value < 0 else top - 2 * value
        blob = sums([value, 0, value, 0], 3, base=(base,), kind=kind)
        spare = top - abs(base) - 4 * abs(value)  # the proof counts the greatest value for every tree
        assert refusal(blob, 3, 1) == (None if spare >= 0 else "model.overflow")
        blob = sums([value, value], 3, base=(base,), kind=kind)
        assert ask(blob, [0, 0, 0], 3, 1) == (0, [top if value > 0 else -top])
        base += 1 if value > 0 else -1
        assert refusal(sums([value, value], 3, base=(base,), kind=kind), 3, 1) == "model.overflow"
    for base in (top, -top):
        assert ask(sums([0], 3, base=(base,)), [0, 0, 0], 3, 1) == (0, [base])
        assert ask(sums([0, 0], 1, 30, (base, -base)), [0, 0, 0], 3, 2)[0] == int(base < 0)
        assert ask(sums([0], 4, 0, limit=base), [0, 0, 0], 3, 2)[0] == int(base > 0)
    for base in (top + 1, -top - 1, -(1 << 31)):
        assert refusal(sums([0], 3, base=(base,)), 3, 1) == "model.overflow"
        assert refusal(sums([0, 0], 1, base=(0, base)), 3, 2) == "model.overflow"
        assert refusal(sums([0], 4, limit=base), 3, 2) == "model.overflow"
        assert refusal(sums([base], 2, kind=4), 3, 2) == "model.overflow"
    assert refusal(sums([1 << 28] * 3, 1, base=(0,) * 3, kind=4)) is None  # one tree a margin
    assert refusal(sums([1 << 28] * 6, 1, base=(0,) * 3, kind=4)) == "model.overflow"


def test_softmax_takes_as_many_classes_as_there_can_be():
    base = [k * 7 % 255 for k in range(255)]
    best, scores = ask(sums([0] * 255, 1, 3, base), [0, 0, 0], 3, 255)
    assert (best, scores) == meaning([0] * 255, [0, 0, 0], 1, 3, base)
    assert best == base.index(254) and scores[best] == max(scores)
    assert 16384 - 255 < sum(scores) <= 16384


def test_words_may_start_at_any_even_address_and_forests_only_at_a_multiple_of_four():
    for trees in ([SMALL], [SMALL, 1]):  # an odd and an even number of slots
        for kind in (3, 4):
            assert ask(sums(trees, 3, base=(70000,), kind=kind), [6, 4, 101], 3, 1)[1] == [70000 + len(trees) - 1]
    for blob in (forest([SMALL]), sums([SMALL], 3, base=(1,))):
        for shift in (1, 2, 3, 4):
            moved = memoryview(bytearray(shift) + blob)[shift:]
            judged = addressof and shift < 4
            assert refusal(moved, 3, moved[7]) == ("model.alignment" if judged else None)


def test_prediction_leaves_the_heap_alone():
    row = array("h", [6, 3, 101])
    for blob, expected in (
        (forest([SMALL, SMALL]), (1, 100)),
        (sums([SMALL] * 3, 1, base=(-9000, 9000, 0), kind=4), (1, 100)),
        (sums([SMALL], 2, base=(-9000,)), (0, 100)),
        (sums([SMALL], 4, base=(9000,), limit=-5), (0, 100)),
    ):
        for engine in ENGINES:
            n = blob[7]
            model = engine(memoryview(blob), 3, n)
            scores = array("i", [0] * n)
            model.predict(row, scores)
            micropython.heap_lock()
            try:
                for _ in range(10):
                    best = model.predict(row, scores)
                    percent = scores[best] * 100 // model.score_total
            finally:
                micropython.heap_unlock()
            assert (best, percent) == expected, (best, percent, expected)


def test_vectors_of_another_length_are_refused():
    for blob in (forest([SMALL]), sums([SMALL] * 3, 1, base=(0, 0, 0))):
        for engine in ENGINES:
            model = engine(blob, 3, 3)
            for n_features, n_scores in ((2, 3), (4, 3), (3, 2), (3, 4)):
                try:
                    model.predict(array("h", [0] * n_features), array("i", [0] * n_scores))
                    raise AssertionError("accepted")
                except Refused as refused:
                    assert refused.reason == "model.schema"


def test_every_flaw_is_refused_by_its_name():
    blob = forest([SMALL])  # 4 nodes at 20; record at 36; 5 slots at 40; 3 words at 50
    assert refusal(blob) is None
    for flawed, reason in (
        (blob[:19], "model.truncated"),
        (blob[:-1], "model.truncated"),
        (bytes(blob) + b"\0", "model.extended"),
        (put(blob, 0, 0), "model.magic"),
        (put(blob, 4, 2), "model.version"),
        (put(blob, 5, 0), "model.kind"),
        (put(blob, 18, 16), "model.kind"),
        (put(blob, 6, 4), "model.schema"),
        (put(blob, 16, 0), "model.header"),
        (head(0, 0, 0, 0), "model.header"),
        (put(blob, 20, 3), "model.feature_index"),
        (put(blob, 21, 0), "model.jump"),
        (put(blob, 21, 4), "model.jump"),
        (put(blob, 32, 1), "model.jump"),  # the last node has no next one
        (put(blob, 25, 4), "model.leaf"),  # a pair needs two slots
        (put(blob, 38, 1), "model.leaf"),  # leaf_base one too high
        (put(blob, 36, 3), "model.jump"),  # a tree cut before its end
        (put(blob, 36, 5), "model.trees"),
        (put(forest([(0, 0, 0, 1), (0, 0, 1, 0)]), 32, 0), "model.trees"),  # a node that belongs to no tree
        (put(blob, 40, 3), "model.leaf"),  # a slot beyond the rows
        (put(blob, 51, 0xE0), "model.leaf"),  # class 3 of 3
        (put(blob, 50, 2), "model.leaf"),  # a row that sums to 2
        (put(blob, 54, 0, 0x40), "model.leaf"),  # a last row without an end
        (head(1, 0, 0, 0) + halves(0, 0), "model.leaf"),
        (head(60000, 0, 1, 1, total=200), "model.truncated"),
    ):
        assert refusal(flawed) == reason, (reason, refusal(flawed))
    assert refusal(blob, 4, 3) == "model.schema"
    assert refusal(blob, 3, 2) == "model.schema"


def test_a_forest_that_could_overflow_a_percentage_is_refused():
    body = halves(*[0] * 400) + halves(0, 0, 60000, 0x8001, 0)
    assert refusal(head(200, 0, 1, 4, total=60000, bits=0, kind=2) + body) == "model.header"


def test_every_flaw_of_a_forest_of_sums_is_refused_by_its_name():
    one = sums([SMALL] * 3, 1, base=(0, 0, 0))
    value = sums([SMALL], 3)  # 4 nodes at 20; record at 36; 5 slots at 40; base at 50
    wide = sums([SMALL], 3, kind=4)  # ... values 0, 1, 2 at 54, counted from 1
    limited = sums([SMALL], 4, kind=4)  # base at 50, limit at 54, values 0, 1, 2 at 58, counted from 2
    for blob, outputs in ((one, 3), (value, 1), (wide, 1), (limited, 2)):
        assert refusal(blob, 3, outputs) is None
        assert refusal(blob[:-1], 3, outputs) == "model.truncated"
        assert refusal(blob + b"\0", 3, outputs) == "model.extended"
        assert refusal(put(blob, 16, 0), 3, outputs) == "model.kind"  # link 0, 5, 257
        assert refusal(put(blob, 16, 5), 3, outputs) == "model.kind"
        assert refusal(put(blob, 17, 1), 3, outputs) == "model.kind"
        assert refusal(put(blob, 18, 30), 3, outputs) is None
        assert refusal(put(blob, 18, 31), 3, outputs) == "model.kind"  # q
        assert refusal(put(blob, 19, 1), 3, outputs) == "model.kind"
        assert refusal(put(blob, 5, 5), 3, outputs) == "model.kind"
        assert refusal(put(blob, 6, 65), 65, outputs) == "model.header"
        assert refusal(put(blob, 21, 0), 3, outputs) == "model.jump"
        assert refusal(put(blob, 20, 3), 3, outputs) == "model.feature_index"
        for other in range(256):  # links have their numbers of outputs
            if other != outputs:
                assert refusal(put(blob, 7, other), 3, other) == "model.header", other
    for flawed, outputs, reason in (
        (put(value, 16, 1), 1, "model.header"),  # softmax of one
        (put(value, 16, 2), 1, "model.header"),
        (put(value, 16, 4), 1, "model.header"),
        (put(limited, 16, 2), 2, None),  # what was the limit is a value that nobody uses
        (put(limited, 16, 1), 2, "model.header"),  # one tree for two margins
        (sums([1, 2, 3], 1, base=(0, 0)), 2, "model.header"),
        (head(0, 0, 0, 2, classes=1, total=3, kind=3) + longs(0), 1, "model.header"),  # no trees
        (put(value, 14, 3) + b"\0\0", 1, "model.header"),  # a word too many, two too many, too few
        (put(value, 14, 4) + b"\0\0\0\0", 1, "model.header"),
        (put(value, 14, 0)[:-4], 1, "model.header"),
        (put(limited, 14, 11) + b"\0\0", 2, "model.header"),
        (put(limited, 14, 2)[:-16], 2, "model.header"),  # no limit
        (put(limited, 14, 4)[:-12], 2, "model.leaf"),  # no values
        (put(wide, 40, 0), 1, "model.leaf"),  # a leaf must not be the base
        (put(limited, 40, 1), 2, "model.leaf"),  # nor the limit
        (put(wide, 40, 3), 1, None),
        (put(wide, 40, 4), 1, "model.leaf"),
        (put(wide, 41, 0x80), 1, "model.leaf"),
        (put(wide, 38, 1), 1, "model.leaf"),  # leaf_base one too high
        (put(value, 36, 3), 1, "model.jump"),
        (put(value, 36, 5), 1, "model.trees"),
        (put(value, 53, 0x20), 1, "model.overflow"),
        (put(wide, 57, 0x20), 1, "model.overflow"),
        (put(limited, 57, 0x20), 2, "model.overflow"),
    ):
        assert refusal(flawed, 3, outputs) == reason, (reason, refusal(flawed, 3, outputs))
