"""Dropping what only building needs: what is composed goes on, what is imported again is whole."""

import gc
import sys
from array import array

import tiny_bundle
from lcg import Lcg
from sensewell.build import drop


def test_a_pipeline_decides_the_same_after_its_building_code_is_gone():
    lcg = Lcg(2)
    rows = [array("h", [lcg.next(4000) - 2000, lcg.next(4000) - 2000]) for _ in range(40)]
    pipeline = tiny_bundle.pipeline()

    def play():
        said = [str(pipeline.feed(row, 20 * i)) for i, row in enumerate(rows)]
        pipeline.reset()
        return said

    before = play()
    drop()
    gc.collect()
    assert play() == before
    if sys.implementation.name == "micropython":
        assert not [name for name in sys.modules if "sensewell.build" in name or name == "sensewell.bundle"]
    from sensewell.bundle import Bundle
    from sensewell.pipeline import Pipeline

    bundle = Bundle.open(tiny_bundle.write(tiny_bundle.manifest(model={"family": "none"}), {}))
    assert Pipeline(bundle).feed(rows[0], 0) is None
