"""sensewell.model.trees: forests are walked exactly, or refused by name. Runs on CPython and on every board.

Builds its own small forests, byte by byte as the table in trees.py says.
"""

from array import array

from forests import SMALL, forest, grow, halves, head, node, walk
from lcg import Lcg
from sensewell.model.trees import Forest
from sensewell.refusal import Refused

try:
    import micropython
except ImportError:
    from sensewell._port import micropython


def ask(blob, row, features=3, classes=3):
    scores = array("i", [77] * classes)
    best = Forest(blob, features, classes).predict(array("h", row), scores)
    return best, list(scores)


def refusal(blob, features=3, classes=3):
    try:
        Forest(blob, features, classes)
    except Refused as refused:
        return refused.reason
    return None


def put(blob, at, *values):
    changed = bytearray(blob)
    for value in values:
        changed[at] = value
        at += 1
    return changed


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
    assert Forest(blob, 3, 3).score_total == 60000


def test_random_forests_agree_with_a_plain_walk_and_on_every_platform():
    random = Lcg(7)
    checksum = 0
    for _ in range(6):
        trees = [grow(random, 5) for _ in range(5)]
        model = Forest(forest(trees), 3, 3)
        scores = array("i", [0] * 3)
        for _ in range(30):
            row = array("h", [random.int16() // 3 for _ in range(3)])
            expected = [0] * 3
            for tree in trees:
                expected[walk(tree, row)] += 1
            best = model.predict(row, scores)
            assert list(scores) == expected
            assert best == expected.index(max(expected))
            checksum = (checksum * 31 + scores[0] * 9 + scores[1] * 3 + best) % 65521
    assert checksum == 32795, checksum


def test_prediction_leaves_the_heap_alone():
    model = Forest(memoryview(forest([SMALL, SMALL])), 3, 3)
    row = array("h", [6, 3, 101])
    scores = array("i", [0] * 3)
    model.predict(row, scores)
    micropython.heap_lock()
    try:
        for _ in range(10):
            best = model.predict(row, scores)
            percent = scores[best] * 100 // model.score_total
    finally:
        micropython.heap_unlock()
    assert (best, percent) == (1, 100)


def test_vectors_of_another_length_are_refused():
    model = Forest(forest([SMALL]), 3, 3)
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


def test_mutated_forests_are_refused_or_harmless():
    random = Lcg(11)
    blob = forest([grow(random, 4), SMALL, 1])
    scores = array("i", [0] * 3)
    row = array("h", [0] * 3)
    refused = 0
    for _ in range(300):
        changed = bytearray(blob)
        for _ in range(1 + random.next(2)):
            changed[4 + random.next(len(blob) - 4)] = random.next(256)
        try:
            model = Forest(changed, 3, 3)
        except Refused:
            refused += 1
            continue
        for _ in range(3):
            for k in range(3):
                row[k] = random.int16() >> random.next(12)
            assert 0 <= model.predict(row, scores) < 3
            assert sum(scores) == model.score_total
    assert 30 < refused < 300, refused
