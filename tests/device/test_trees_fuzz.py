"""Mutated forests, on CPython and on every board: refused by name or harmless, and alike by every engine there is."""

from array import array

from forests import corpus
from lcg import Lcg
from sensewell.kernel.trees_viper import Forest as Viper
from sensewell.model.trees import sensewell_trees
from sensewell.refusal import Refused

ENGINES = [Viper]
if sensewell_trees:
    from sensewell.kernel.trees_native import Forest as Native

    ENGINES.append(Native)

TURNS = 25  # over a corpus of 12 forests, 20 mutants of each
REASONS = "truncated magic version extended schema kind header alignment trees leaf feature_index jump overflow".split()


def half(blob, at):
    return blob[at] | blob[at + 1] << 8


def put(blob, at, value):
    if at + 1 < len(blob):
        blob[at] = value & 255
        blob[at + 1] = value >> 8 & 255


def odd(random, value):
    return (value + 1, value - 1, 0, 255, 0x7FFF, 0x8000, 0xFFFF, random.next(65536))[random.next(8)]


def mutate(random, blob, other):
    """A bytearray that is `blob` with one flaw, or none that matters."""
    blob = bytearray(blob)
    nodes, trees, slots = half(blob, 10), half(blob, 8), half(blob, 12)
    way = random.next(11)
    if way == 0:
        blob[random.next(len(blob))] ^= 1 << random.next(8)
    elif way == 1:
        blob[random.next(len(blob))] = random.next(256)
    elif way == 2:
        at = random.next(len(blob))
        blob = blob[:at] + (b"" if random.next(2) else other[at:])
    elif way == 3:
        blob += b"\1" * (1 + random.next(4))
    elif way == 4:  # counts, row_total or link, share_bits or q
        at = 8 + 2 * random.next(6)
        put(blob, at, odd(random, half(blob, at)))
    elif way == 5:
        blob[4 + random.next(4)] = random.next(6)
    elif way == 6 and nodes:  # feature and flags, argument
        blob[20 + 4 * random.next(nodes) + random.next(2)] ^= 1 << random.next(8)
    elif way == 7 and nodes:
        blob[21 + 4 * random.next(nodes)] = random.next(12)
    elif way == 8:  # nodes of a tree, leaf_base
        at = 20 + 4 * nodes + 2 * random.next(2 * trees)
        put(blob, at, odd(random, half(blob, at)))
    elif way == 9:
        at = 20 + 4 * (nodes + trees) + 2 * random.next(slots)
        put(blob, at, random.next(8))
    else:  # slots and words
        at = 20 + 4 * (nodes + trees)
        at += 2 * random.next((len(blob) - at) // 2)
        put(blob, at, odd(random, half(blob, at)))
    return blob


def judge(engine, blob, n_outputs):
    try:
        return engine(blob, 3, n_outputs), ""
    except Refused as refused:
        return None, refused.reason


def test_mutants_are_refused_by_name_or_harmless_and_engines_agree():
    random = Lcg(53)
    seen = {}
    row = array("h", [0] * 3)
    for _ in range(TURNS):
        other = b""
        for blob in corpus(random):
            for _ in range(20):
                changed = mutate(random, blob, other)
                n_outputs = changed[7] if len(changed) > 7 else 3
                judged = [judge(engine, changed, n_outputs) for engine in ENGINES]
                reason = judged[0][1]
                assert judged[-1][1] == reason, (judged, bytes(changed))
                assert not reason or (reason[:6] == "model." and reason[6:] in REASONS), reason
                seen[reason] = seen.get(reason, 0) + 1
                for _ in range(0 if reason else 3):
                    for k in range(3):
                        row[k] = random.int16() >> random.next(12)
                    said = []
                    for model, _ in judged:
                        scores = array("i", [77] * n_outputs)
                        best = model.predict(row, scores)
                        total = model.score_total
                        assert 0 <= best < n_outputs
                        if total:
                            assert min(scores) >= 0 and sum(scores) <= total, bytes(changed)
                        else:
                            assert -(1 << 29) < scores[0] < 1 << 29, bytes(changed)
                        said.append((best, total, list(scores)))
                    assert said[0] == said[-1], (said, bytes(changed))
            other = blob
    assert len(seen) > 10 and seen[""] > 1200, seen
