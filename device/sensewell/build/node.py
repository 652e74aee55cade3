"""A bundle, a sensor and outputs -> a node, ready to run: verified, proven, and nothing else kept.

Knows what must happen before the first decision, and in which order; the loop is node.py's.
"""

import sys

from sensewell.build import thrifty
from sensewell.build.pipeline import disarm
from sensewell.bundle import Bundle
from sensewell.node import Node
from sensewell.pipeline import Pipeline
from sensewell.policy import of_board
from sensewell.refusal import Refused


def compose(
    sensor,
    path=None,
    board=None,
    rate_hz=None,
    outputs=(),
    wdt=None,
    calibration=None,
    policy=None,
    safe="",
    limits=None,
):
    """A Node that runs the bundle at `path`, verified and proven. Raises Refused if there is nothing sound to run.

    path: None: of the active slot, whose code this is. board: this board's name; policy: what it is and whom it
    believes, None: as its flash says (policy.py). limits: a function of the manifest, for `node.limits`. safe: a reason
    why only rules may decide; the model, which may be what ended here, is not even built then, and decisions say
    "safe". A bundle that is sound but for its model runs by its rules: `node.pipeline.refusal` says why.
    """
    if path is None:
        path = sys.path[0] + ".swb"  # beside the code, see device/loader.py
    thrifty(True)
    try:
        policy = policy or of_board(board)
        bundle = Bundle.open(path, policy)
        note = policy.note
        if safe:
            bundle.manifest["model"] = {"family": "none"}
            note = note + " safe" if note else "safe"
        pipeline = Pipeline(bundle, calibration)
        pipeline.arbiter.decision.note = note
        if safe:
            disarm(pipeline, safe)
        else:
            try:
                bundle.prove(pipeline)
            except Refused:
                pass  # it is in pipeline.refusal, and in the reason of every decision
        if rate_hz or pipeline.rate_hz:
            node = Node(pipeline, sensor, rate_hz or pipeline.rate_hz, outputs, wdt)
        else:
            from sensewell import slow

            node = slow.Node(pipeline, sensor, pipeline.period_ms, outputs, wdt)
        node.limits = limits(bundle.manifest) if limits else None
        bundle.release()
        return node
    finally:
        thrifty(False)
