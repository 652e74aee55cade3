"""Small networks of noise in bundles, for each kind of input and output. Runs on boards too."""

import gc
import sys
from array import array

import tiny_bundle
from lcg import Lcg
from sensewell.build.manifest import check
from sensewell.bundle import Bundle
from sensewell.model import neural
from sensewell.pipeline import Pipeline
from sensewell.refusal import Refused
from tflites import INT8, INT16, INT32, Model

if hasattr(gc, "threshold") and sys.implementation.name == "micropython":
    gc.threshold(4096)  # as where a node starts: large pieces find their room

FAULT = 17  # of a pipeline's state
WAYS = [(seen, output) for seen in ("window", "features") for output in ("classes", "anomaly", "value")]


def engine():
    """Is there one on this board?"""
    try:
        neural.open(b"")
    except Refused as refused:
        return refused.reason != "neural.engine"


def dense(m, x, n_in, n_out, scale_in, scale_out, zero_out=0, lcg=None, kind=INT8, scale_w=1 / 64):
    """One layer of random weights; the number of its output."""
    w = m.tensor([n_out, n_in], INT8, scale_w, 0, [lcg.next(255) - 127 for _ in range(n_in * n_out)])
    b = m.tensor([n_out], INT32, scale_in * scale_w, 0, [lcg.next(2000) - 1000 for _ in range(n_out)])
    y = m.tensor([1, n_out], kind, scale_out, zero_out)
    m.op("FULLY_CONNECTED", [x, w, b], [y])
    return y


def classes(n, k, seed=1, shape=None, scale=1 / 256):
    """n numbers to k shares, k > 1: a dense layer and SOFTMAX; k 1: LOGISTIC."""
    m, lcg = Model(), Lcg(seed)
    x = m.tensor(shape or [1, n], INT8, 1 / 16, -5)
    t = x
    if shape:
        t = m.tensor([1, n], INT8, 1 / 16, -5)
        m.op("RESHAPE", [x, m.tensor([2], INT32, data=[1, n])], [t])
    h = dense(m, t, n, k, 1 / 16, 1 / 4, 3, lcg)
    y = m.tensor([1, k], INT8, scale, -128)
    if k > 1:
        m.op("SOFTMAX", [h], [y], f0=("f", 1.0))
    else:
        m.op("LOGISTIC", [h], [y])
    return m.bytes([x], [y])


def autoencoder(n, seed=1):
    """n numbers, squeezed through two."""
    m, lcg = Model(), Lcg(seed)
    x = m.tensor([1, n], INT8, 1 / 16, -5)
    h = dense(m, x, n, 2, 1 / 16, 1 / 4, 0, lcg)
    return m.bytes([x], [dense(m, h, 2, n, 1 / 4, 1 / 20, 7, lcg)])


def value(n, seed=1):
    """n numbers to two int8 values."""
    m, lcg = Model(), Lcg(seed)
    x = m.tensor([1, n], INT8, 1 / 16, -5)
    return m.bytes([x], [dense(m, x, n, 2, 1 / 16, 1 / 8, -3, lcg)])


def wide_value():
    """One int8 number to an int16, 256 times as much."""
    m = Model()
    x = m.tensor([1, 1], INT8, 1.0, 0)
    y = m.tensor([1, 1], INT16, 1 / 128, 0)
    m.op("QUANTIZE", [x], [y])
    return m.bytes([x], [y])


def remembering(n):
    """The sum of its numbers over the last three predictions, if nobody makes it forget."""
    m = Model()
    x = m.tensor([1, n], INT8, 1.0, 0)
    features = m.tensor([1, n], INT8, 1.0, 0, [1] * n)
    times = m.tensor([1, 3], INT16, 1.0, 0, [1, 1, 1])
    bias = m.tensor([1], INT32, 1.0, 0, [0])
    state = m.tensor([1, 3], INT16, 1.0, 0, variable=True)
    y = m.tensor([1, 1], INT8, 1.0, 0)
    m.op("SVDF", [x, features, times, bias, state], [y], f0=("i", 1))
    return m.bytes([x], [y])


def take(n, gain=12000, shift=20):
    """Counts of about +-2000 to int8, each entry with another centre."""
    return {"centre_raw": [7 * c - 100 for c in range(n)], "gain": [gain] * n, "shift": [shift - 1] * n}


ENDS = {
    "classes": {"n_classes": 2},
    "anomaly": {"n_classes": 2, "error": {"gain_in": 8192, "gain_out": 6554, "shift": 9, "limit_q8": 1 << 20}},
    "value": {"n_classes": 3, "give": {"gain": 9000, "shift": 8, "offset_raw": 100}, "edges_raw": [-500, 700]},
}


def manifest(seen="window", output="classes", model=None, **changes):
    """A manifest for windows of 16 x 2 or 5 features and one of the networks above."""
    spec = {"family": "neural", "section": "model", "input": seen, "output": output}
    spec["take"] = take(2 if seen == "window" else 5)
    spec.update({key: dict(end) if type(end) is dict else end for key, end in ENDS[output].items()})
    spec.update(model or {})
    if seen == "window":
        changes = dict({"features": [], "rules": tiny_bundle.manifest()["rules"][:1]}, **changes)
    made = tiny_bundle.manifest(n_classes=3, model=spec, **changes)
    made["arbiter"]["min_confidence_pct"] = 10
    return made


def network(seen="window", output="classes"):
    """A network that fits that manifest."""
    n = 32 if seen == "window" else 5
    return {"classes": lambda: classes(n, 2), "anomaly": lambda: autoencoder(n), "value": lambda: value(n)}[output]()


def trusted(m, net):
    """A pipeline that believes in its network; proofs: test_net_proof.py."""
    gc.collect()
    pipeline = Pipeline(Bundle(m, {"model": net}))
    assert pipeline.refusal == ""
    pipeline._s[FAULT] = 0
    return pipeline


def samples(n, n_channels=2, seed=3):
    lcg = Lcg(seed)
    for _ in range(n):
        yield array("h", [lcg.next(4000) - 2000 for _ in range(n_channels)])


def run(pipeline, rows, t_ms=0):
    """(class, scores) of every window."""
    said = []
    for row in rows:
        if pipeline.feed(row, t_ms):
            said.append((pipeline.best, list(pipeline.scores)))
        t_ms += 20
    return said


def quantised(take, x, c, zero=-5):
    half = 1 << take["shift"][c] >> 1
    q = ((x - take["centre_raw"][c]) * take["gain"][c] + half >> take["shift"][c]) + zero
    return max(-128, min(127, q))


def refusal(m, net):
    m["golden"] = {"section": "golden", "rows": 0 if m["model"]["input"] == "window" else 1, "windows": 1}
    m["sections"] = {name: {"offset": 0, "bytes": 1, "sha256": "0" * 64} for name in ("model", "golden")}
    gc.collect()
    try:
        check(m)
        return Pipeline(Bundle(m, {"model": net})).refusal
    except Refused as refused:
        return refused.reason
    except (TypeError, KeyError):
        return "bundle.schema."  # says Bundle.open
