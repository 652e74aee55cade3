"""Networks in bundles: shares as scores, and a heap that stands still. Apart, since small boards lack the room."""

import gc

import nets
from nets import manifest, network, run, samples, trusted

try:
    import micropython
except ImportError:
    from sensewell._port import micropython


def test_nothing_is_allocated_from_sample_to_decision():
    if not nets.engine():
        return
    rows = list(samples(64))
    for seen, output in nets.WAYS:
        pipeline = feed = None
        gc.collect()
        pipeline = trusted(manifest(seen, output), network(seen, output))
        t_ms = decided = 0
        feed = pipeline.feed
        for row in rows[:17]:
            feed(row, t_ms)
            t_ms += 20
        micropython.heap_lock()
        try:
            for row in rows:
                if feed(row, t_ms) is not None:
                    decided += 1
                t_ms += 20
        finally:
            micropython.heap_unlock()
        assert decided == 8 and pipeline.sources[0] == 9, (seen, output)


def test_scores_of_classes_are_the_shares():
    if not nets.engine():
        return
    for net in (network(), nets.classes(32, 2, shape=[1, 16, 2])):
        pipeline = trusted(manifest(), net)
        said = run(pipeline, samples(400))
        assert len(said) == 49 and {best for best, _ in said} == {0, 1}
        for best, scores in said:
            assert 254 <= sum(scores) <= 257 and best == (1 if scores[1] > scores[0] else 0)
        assert said[-1][1] == [q + 128 for q in pipeline.model.said]
        assert pipeline.model.score_total == 256 and pipeline.sources[0] == 49
    pipeline = trusted(manifest(), nets.classes(32, 1))
    said = run(pipeline, samples(400))
    assert {best for best, _ in said} == {0, 1}
    for best, scores in said:
        assert sum(scores) == 256 and best == (1 if scores[1] > 128 else 0)
