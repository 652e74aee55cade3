"""Builds small valid bundles in memory, on any platform: a random forest over a few features of 2..6 channels.

The writer is the least that a reader accepts; the real one is host_tools/sensewell_host/pack.py.
"""

import hashlib
import json
import struct
from array import array
from binascii import hexlify

from lcg import Lcg
from sensewell.bundle import Bundle
from sensewell.pipeline import Pipeline

FEATURES = ("mean", "std", "range", "jerk", "p50", "energy", "mad")


def forest(n_features, n_classes, n_trees=3, depth=3, seed=1, spread=3000):
    """A hard-voting forest of full trees in the form of sensewell/model/trees.py."""
    lcg = Lcg(seed)
    nodes = bytearray()

    def tree(depth, leaf):
        feature = lcg.next(n_features)
        threshold = lcg.next(2 * spread) - spread
        last = depth == 1
        argument = leaf if last else 1 << (depth - 1)  # two leaves, or how far the right child is: past the left one
        low = feature | (0xC0 if last else 0) | argument << 8
        nodes.extend(struct.pack("<HH", low, threshold + 32768))
        if not last:
            tree(depth - 1, leaf)
            tree(depth - 1, leaf + (1 << (depth - 1)))

    leaves = 1 << depth
    trees = bytearray()
    for i in range(n_trees):
        tree(depth, 0)
        trees.extend(struct.pack("<HH", leaves - 1, i * leaves))
    slots = bytearray()
    for _ in range(n_trees * leaves):
        slots.extend(struct.pack("<H", lcg.next(n_classes)))
    words = bytearray()
    for k in range(n_classes):
        words.extend(struct.pack("<H", 0x8000 | k << 1 | 1))  # a row of one entry: share 1 of class k
    counts = (n_trees, len(nodes) // 4, len(slots) // 2, n_classes, 1, 1)
    head = struct.pack("<4sBBBB6H", b"SWTF", 1, 1, n_features, n_classes, *counts)
    return head + bytes(nodes + trees + slots + words)


def manifest(n_channels=2, length=16, hop=8, n_features=5, n_classes=2, **changes):
    """A manifest without sections; `changes` replace top-level entries."""
    m = {
        "sensewell": 1, "name": "tiny", "version": 1, "what": "a test", "boards": ["*"], "min_runtime": [0, 1],
        "rate_hz": 50,
        "channels": [{"name": "c%d" % c, "unit": "m/s2", "scale": 0.5, "offset": 0.0} for c in range(n_channels)],
        "guard": {"gap_ms": 200, "channels": [{"lo_raw": -20000, "hi_raw": 20000}] * n_channels},
        "bad_samples": {"policy": "hold", "fill_n": 3},
        "condition": {"normalise": [{"offset_raw": 10, "gain_q12": 4000}] * n_channels},
        "window": {"length": length, "hop": hop, "min_quality_pct": 80},
        "features": [{"f": FEATURES[i // n_channels], "c": i % n_channels} for i in range(n_features)],
        "labels": ["class%d" % k for k in range(n_classes)] + ["unknown", "alarm", "still"],
        "model": {"family": "trees", "section": "model", "n_classes": n_classes},
        "rules": [
            {"name": "over", "on": {"channel": 0}, "when": "above", "limit": 15000, "clear": 14000,
             "label": n_classes + 1, "interlock": True},
            {"name": "calm", "on": {"feature": n_channels}, "when": "below", "limit": 5, "label": n_classes + 2},
        ],
        "arbiter": {"min_confidence_pct": 34, "smooth_n": 1, "smooth_m": 1, "hold_ms": 400, "return_n": 1,
                    "deadline_ms": 1000, "fallback_label": n_classes},
    }  # fmt: skip
    m.update(changes)
    return m


def golden(m, model, rows=2, windows=1, seed=5):
    """The golden section for `m`, by the device code itself; sets m["golden"]."""
    lcg = Lcg(seed)
    m["golden"] = {"section": "golden", "rows": rows, "windows": windows}
    pipeline = Pipeline(Bundle(m, {"model": model, "golden": b"-"}))
    data = bytearray()
    scores = bytearray()
    for _ in range(rows):
        vector = array("h", [lcg.next(6000) - 3000 for _ in pipeline.vector])
        pipeline.model.predict(vector, pipeline.scores)
        data.extend(bytes(vector))
        scores.extend(bytes(pipeline.scores))
    data.extend(bytes(-len(data) % 4))
    data.extend(scores)
    vectors = bytearray()
    scores = bytearray()
    for _ in range(windows):
        pipeline.reset()
        for _ in range(pipeline.length):
            row = array("h", [lcg.next(4000) - 2000 for _ in range(pipeline.n_channels)])
            data.extend(bytes(row))
            if pipeline.condition:
                pipeline.condition.apply(row, row)
            pipeline.window.push(row, 1)
        if pipeline.features:
            pipeline.features.compute(pipeline.window)
        vectors.extend(bytes(pipeline.vector))
        if not rows:
            pipeline.model.predict(pipeline.vector, pipeline.scores)
            scores.extend(bytes(pipeline.scores))
    data.extend(vectors)
    if not rows:
        data.extend(bytes(-len(data) % 4))
    return bytes(data + scores)


def write(m, sections):
    """The file: header, manifest, sections in the order of their names."""
    body = bytearray()
    entries = {}
    for name in sorted(sections):
        body.extend(bytes(-len(body) % 8))
        digest = hexlify(hashlib.sha256(sections[name]).digest()).decode()
        entries[name] = {"offset": len(body), "bytes": len(sections[name]), "sha256": digest}
        body.extend(sections[name])
    m["sections"] = entries
    return seal(json.dumps(m, separators=(",", ":")).encode(), body)


def seal(text, body=b""):
    """A container with right lengths and hashes around any manifest text."""
    pad = bytes(-(56 + len(text)) % 8)
    size = 56 + len(text) + len(pad) + len(body)
    digest = hashlib.sha256(text).digest()
    head = struct.pack("<4sHHIII32s4x", b"SWB1", 2, 56, len(text), size, 0, digest)
    return b"".join((head, text, pad, body))  # small boards have room for it once


def digest_of(data):
    """What is signed of a bundle."""
    return hashlib.sha256(data[:16] + bytes(4) + data[20 : 56 + int.from_bytes(data[8:12], "little")]).digest()


def signed(data, block):
    """The unsigned bundle `data` with a block of signatures."""
    at = 56 + int.from_bytes(data[8:12], "little")
    at += -at % 8
    return data[:16] + len(block).to_bytes(4, "little") + data[20:at] + block + data[at:]


def build(trees=3, depth=3, rows=2, **options):
    """The bytes of a small valid bundle; options as for `manifest`."""
    m = manifest(**options)
    sections = {}
    if m["model"]["family"] == "trees":
        sections["model"] = forest(len(m["features"]), m["model"]["n_classes"], trees, depth)
        sections["golden"] = golden(m, sections["model"], rows)
    return write(m, sections)


def pipeline(proven=True, **options):
    """A Pipeline from such a bundle."""
    bundle = Bundle.open(build(**options))
    made = Pipeline(bundle)
    if proven:
        bundle.prove(made)
    return made
