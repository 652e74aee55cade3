"""The pipeline under random faults: its promises hold, it agrees on every platform, and it never allocates."""

import gc
from array import array

import tiny_bundle
from lcg import Lcg

try:
    import micropython
except ImportError:
    from sensewell._port import micropython

MISSING = -32768


def watch():
    """Six channels, 100 x 6 windows, 14 features, smoothing and rules: the shape of the main bundle."""
    features = [{"f": f, "c": c} for c in range(6) for f in ("mean", "std")]
    features += [{"f": "corr", "c": 0, "d": 1}, {"f": "range", "c": 6}]
    rules = [
        {"name": "over", "on": {"channel": 0}, "when": "above", "limit": 15000, "clear": 14000, "label": 5,
         "interlock": True, "on_bad": "trip", "dwell_ms": 200},
        {"name": "calm", "on": {"feature": 1}, "when": "below", "limit": 600, "label": 6, "dwell_ms": 1000},
    ]  # fmt: skip
    arbiter = {"min_confidence_pct": 40, "smooth_n": 2, "smooth_m": 3, "hold_ms": 2000, "return_n": 2,
               "deadline_ms": 1000, "fallback_label": 4}  # fmt: skip
    guard = {"gap_ms": 300, "channels": [{"lo_raw": -20000, "hi_raw": 20000, "stuck_n": 10, "spike_raw": 20000}] * 6}
    return tiny_bundle.pipeline(
        n_channels=6, n_classes=4, length=100, hop=50, features=features, derived=[{"norm": [0, 1, 2]}], rules=rules,
        arbiter=arbiter, guard=guard, trees=10, depth=5,
    )  # fmt: skip


def test_no_byte_is_allocated_from_sample_to_decision_whatever_comes():
    pipeline = watch()
    lcg = Lcg(5)
    row = array("h", [0] * 6)
    decisions = t = 0
    used = getattr(gc, "mem_alloc", int)  # CPython has none: int() is 0
    grown = 0
    for i in range(2400):
        kind = lcg.next(40)
        span = 1 if i // 600 & 1 else 6
        for c in range(6):
            row[c] = lcg.next(3000 // span) - 1500 // span
        if i % 600 > 400:
            if kind == 0:
                row[lcg.next(6)] = MISSING
            elif kind == 1:
                row[0] = 16000
            elif kind == 2:
                t += 20 * lcg.next(30)
            elif kind == 3:
                t -= 20
            if i % 600 > 580:
                row[0] = 16000
        t = (t + 20) & 0x3FFFFFFF
        locked = lcg.next(8)
        if locked:
            micropython.heap_lock()
        before = used()
        decision = pipeline.feed(row, t)
        if decision is None:
            decision = pipeline.idle(t)
        grown += used() - before
        if locked:
            micropython.heap_unlock()
        if decision:
            decisions += 1
    assert grown == 0, grown
    assert decisions > 30 and min(pipeline.sources) > 0, list(pipeline.sources)


def test_random_faults_break_no_promise_and_come_out_the_same_everywhere():
    total = 0
    for policy in ("hold", "skip", "break"):
        pipeline = tiny_bundle.pipeline(
            bad_samples={"policy": policy, "fill_n": 3},
            guard={
                "gap_ms": 200,
                "channels": [{"lo_raw": -20000, "hi_raw": 20000, "stuck_n": 5, "spike_raw": 6000}] * 2,
            },
        )
        lcg = Lcg(21)
        row = array("h", [0, 0])
        t = now = last = 0
        for _ in range(60):
            kind = lcg.next(8)
            length = 1 + lcg.next(30)
            for i in range(length):
                if kind != 1:  # 1: stuck
                    row[0] = lcg.next(4000) - 2000
                    row[1] = lcg.next(4000) - 2000
                if kind == 2:
                    row[1] = MISSING
                elif kind == 3:
                    row[0] = 16000
                elif kind == 4 and i % 5 == 0:
                    row[1] = 15000
                now += 20
                if kind != 5:  # 5: time stands still
                    t = now
                decision = None
                if kind != 6:  # 6: no samples at all
                    decision = pipeline.feed(row, t)
                if decision is None:
                    decision = pipeline.idle(now)
                if decision:
                    assert now - last <= 520, now - last  # a window and a hop, and one sample
                    last = now
                    d = decision
                    tripped = pipeline.rules.interlock >= 0
                    assert (d.source == "interlock") == tripped
                    if d.source == "model":
                        assert d.quality_pct >= 80 and d.label_id == pipeline.best and d.cause == "ok"
                    total = (total * 31 + d.label_id + d.source_id * 8 + d.cause_id * 32 + d.quality_pct) % 65521
            if kind == 7:
                now += 1000  # a gap in time
                last = now
        row[0] = row[1] = 0
        for i in range(40):
            now += 20
            row[0] = lcg.next(4000) - 2000
            row[1] = lcg.next(4000) - 2000
            decision = pipeline.feed(row, now) or decision
        assert decision.source == "model", str(decision)
    assert total == 12629, total
