"""The proof of networks in bundles: golden vectors for every way must be answered exactly.

Where there is no engine for networks, nothing is tested.
"""

import gc

import nets
import tiny_bundle
from nets import manifest, network
from sensewell.bundle import Bundle
from sensewell.pipeline import Pipeline
from sensewell.refusal import Refused


def test_every_way_is_proven_and_a_wrong_answer_refused():
    if not nets.engine():
        return
    for seen, output in nets.WAYS:
        m, net = manifest(seen, output), network(seen, output)
        golden = bytearray(tiny_bundle.golden(m, net, 0 if seen == "window" else 4))
        for at in (None, -1 if seen == "window" else 44, 70 if seen == "window" else -1):
            if at is not None:
                golden[at] ^= 1
            bundle = pipeline = None
            gc.collect()
            bundle = Bundle.open(tiny_bundle.write(m, {"model": net, "golden": golden}))
            pipeline = Pipeline(bundle)
            try:
                bundle.prove(pipeline)
                assert at is None
            except Refused as refused:
                reason = "golden.scores" if seen == "window" or at > 0 else "golden.features"
                assert refused.reason == reason == pipeline.refusal, (seen, output, at, refused.reason)
                assert pipeline.model is None
            if at is not None:
                golden[at] ^= 1
        bundle = pipeline = None
        gc.collect()
        bundle = Bundle.open(tiny_bundle.write(m, {"model": net, "golden": bytes(golden) + b"1234"}))
        try:
            bundle.prove(Pipeline(bundle))
            raise AssertionError("proven")
        except Refused as refused:
            assert refused.reason == "golden.size"


def test_a_window_may_have_features_beside_its_network():
    if not nets.engine():
        return
    m = manifest(features=[{"f": "mean", "c": 0}, {"f": "std", "c": 1}, {"f": "range", "c": 0}])
    net = network()
    golden = bytearray(tiny_bundle.golden(m, net, 0, 3))
    assert len(golden) == 3 * (64 + 6) + 2 + 3 * 8
    for at, reason in ((None, ""), (3 * 64 + 9, "golden.features"), (-9, "golden.scores")):
        if at is not None:
            golden[at] ^= 1
        bundle = pipeline = None
        gc.collect()
        bundle = Bundle.open(tiny_bundle.write(m, {"model": net, "golden": golden}))
        pipeline = Pipeline(bundle)
        try:
            bundle.prove(pipeline)
            assert not reason
        except Refused as refused:
            assert refused.reason == reason
        if at is not None:
            golden[at] ^= 1
