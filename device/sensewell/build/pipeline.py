"""A bundle -> the stations of a pipeline and its state, laid out as pipeline.py says; and the proof of the whole.

What the golden vectors are, Bundle.prove says.
"""

import hashlib
from array import array

from sensewell.arbiter import Arbiter
from sensewell.build import choice
from sensewell.build.manifest import shape
from sensewell.guard import Guard
from sensewell.refusal import Refused
from sensewell.window import Window

try:
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython

    const = micropython.const

_FAULT = const(17)  # of the state
_FEATURES_GOOD = const(18)
_OK = const(0)  # causes
_NO_MODEL = const(6)
_REFUSED = const(7)
_UNPROVEN = const(8)
_MAX_TOTAL = const(10000000)  # score * 100 stays a small int

# A name that stands in code stays in RAM for ever: what most bundles do not ask for is in no name
_FAMILY = const("family none trees neural linear")
_OUTPUT = const("output classes anomaly value")
_NET = const("sensewell.model.net")
_VALUE = const("sensewell.model.value")
_LINEAR = const("sensewell.model.linear")


def build(bundle, calibration):
    """(facts, stations, state) of a Pipeline; Refused by the station that cannot be built."""
    part = "pipeline"
    try:
        m = bundle.manifest
        n = len(m["channels"])
        rate_hz = m.get("rate_hz")  # None: it says period_ms
        period = 1000 // rate_hz if rate_hz else m["period_ms"]
        length, hop, quality, policy, fill_n = shape(m)
        labels = tuple(m["labels"])
        n_features = len(m["features"])
        part = "guard"
        spec = m.get("guard", {})
        guard = Guard(spec.get("channels") or [{}] * n, period, spec.get("gap_ms", 0), spec.get("disagree", ()))
        part = "condition"
        conditioning = condition(m, calibration)
        part = "window"
        window = Window(n, length, hop)
        part = "features"
        features = None
        vector = array("h")
        if n_features:
            from sensewell.features import Features

            features = Features(m["features"], n, length, m.get("derived", ()))
            vector = features.vector
        part = "rules"
        rules = None
        on = [0, 0]
        if m.get("rules"):
            from sensewell.rules import Rules

            rules = Rules(m["rules"], n, _channels(m))
            on = ["channel" in spec["on"] for spec in m["rules"]]
            on = [int(any(on)), int(not all(on))]
        part = "arbiter"
        spec = m["model"]
        family = choice(spec, _FAMILY, "model.family")
        valued = choice(spec, _OUTPUT, "model.output") == 2
        kind = __import__(_VALUE, None, None, ("*",)).Arbiter if valued else Arbiter
        deadline_us = m["arbiter"]["deadline_ms"] * 1000  # 0: none
        arbiter = kind(m["arbiter"], labels, rules.names if rules else (), quality)
        part = "model"
        refusal = ""
        fault = _NO_MODEL
        model = None
        scores = array("i")
        if family:
            fault = _UNPROVEN
            try:
                data = memoryview(bundle.sections[spec["section"]])
                if family == 1 and not valued:
                    from sensewell.model.trees import Forest

                    made = Forest(data, n_features, spec["n_classes"])
                else:
                    module = __import__((_VALUE, _NET, _LINEAR)[family - 1], None, None, ("*",))
                    made = module.open(data, n_features, spec, window)
                total = made.score_total
                if made.n_outputs != spec["n_classes"] or not 0 <= total <= _MAX_TOTAL or valued == (total > 0):
                    raise Refused("model.outputs")
                scores = array("i", bytes(4 * made.n_outputs))
                average_n = m["arbiter"].get("average_n", 1)
                if average_n > 1:
                    if valued:
                        raise Refused("model.average", "values have no mean score")
                    from sensewell.average import Average

                    arbiter.mean = Average(made.n_outputs, average_n, total)
                model = made
                if valued:
                    arbiter.scores = scores
            except Refused as e:
                refusal = e.reason
                fault = _REFUSED
            except ImportError:  # the code of this family was never brought
                refusal = "model.absent"
                fault = _REFUSED
    except Refused:
        raise
    except MemoryError:
        raise Refused("bundle.memory", part)
    except (TypeError, KeyError, ValueError, AttributeError, IndexError, OverflowError) as e:
        raise Refused("bundle.schema." + part, str(e))
    state = [0] * 7 + [period, hop * period, (length + hop) * period, hop]
    state += on + [int(not conditioning), policy, fill_n, quality, fault, 1] + [0] * n
    row = array("h", bytes(2 * n)) if conditioning else None
    return (
        (n, rate_hz, period, length, deadline_us, labels, refusal),
        (guard, conditioning, window, features, rules, arbiter, model),
        (array("i", state), row, vector, scores, array("i", bytes(4 * 4))),
    )


def _channels(manifest):
    # For each feature the channels it is made of, a bit each
    made = [1 << c for c in range(len(manifest["channels"]))]
    for derived in manifest.get("derived", ()):
        made.append(0)
        for c in derived["norm"]:
            made[-1] |= 1 << c
    found = []
    for spec in manifest["features"]:
        found.append(0)
        for key in "cde":  # see KEYS in build/features.py: no other parameter has such a name
            if key in spec:
                found[-1] |= made[spec[key]]
    return found


def condition(manifest, calibration=None):
    """The conditioning that `manifest` asks for on a board with this calibration, or None."""
    n = len(manifest["channels"])
    spec = manifest.get("condition", {})
    filters = spec.get("filters")
    normalise = spec.get("normalise")
    if not (calibration or filters or normalise):
        return None
    from sensewell.condition import Condition

    if calibration:
        from sensewell.build.calibration import by_channel

        calibration = by_channel(calibration, [entry["name"] for entry in manifest["channels"]])
    made = Condition(n, calibration, filters, normalise)
    return None if made.identity else made


def prove(pipeline, bundle):
    """Let `pipeline` answer; from then on its model may decide. Refused("golden....") else, as Bundle.prove says."""
    if pipeline.refusal:
        raise Refused(pipeline.refusal)
    try:
        golden = bundle.manifest.get("golden")
        if golden:
            bundle.read(golden["section"], _answer, pipeline, condition(bundle.manifest), golden)
    except Refused as e:
        disarm(pipeline, e.reason)
        if e.reason != "golden.scores":  # no window vouched for the features: they are kept from the rules too
            pipeline._s[_FEATURES_GOOD] = 0
        raise
    finally:
        pipeline.reset()
    if pipeline.model:
        pipeline._s[_FAULT] = _OK


def disarm(pipeline, reason):
    """From now on its rules decide alone, for `reason`."""
    pipeline.refusal = reason
    pipeline.model = None
    pipeline._s[_FAULT] = _REFUSED


def _answer(section, pipeline, condition, golden):
    # The section is read once, from its begin to its end: what is asked before what is wanted
    size, read, end = section
    model = pipeline.model
    features = pipeline.features
    n_features = len(pipeline.vector)
    n_outputs = model.n_outputs if model else 0
    rows, windows, length = golden["rows"], golden["windows"], pipeline.length
    pad = rows * n_features * 2 & 2
    values = windows * (length * pipeline.n_channels + n_features)
    seen = windows if n_outputs and not rows else 0  # windows that have scores
    last = values * 2 & 2 if seen else 0
    if size != rows * (n_features * 2 + n_outputs * 4) + pad + values * 2 + last + seen * n_outputs * 4:
        raise Refused("golden.size", "it has %d bytes" % size)
    vector = array("h", bytes(2 * n_features))
    given = hashlib.sha256()  # of the scores, of which there may be many
    for _ in range(rows):
        read(vector)
        model.predict(vector, pipeline.scores)
        given.update(pipeline.scores)
    read(bytearray(pad))
    wanted = hashlib.sha256()
    for _ in range(rows):
        read(pipeline.scores)
        wanted.update(pipeline.scores)
    sample = array("h", bytes(2 * pipeline.n_channels))
    answers = array("h")
    for _ in range(windows):
        if condition:
            condition.reset()
        pipeline.window.reset()
        for _ in range(length):
            read(sample)
            if condition:
                condition.apply(sample, sample)
            pipeline.window.push(sample, 1)
        if features:
            features.compute(pipeline.window)
            answers.extend(pipeline.vector)
        if seen:
            model.predict(pipeline.vector, pipeline.scores)
            given.update(pipeline.scores)
    for i in range(len(answers)):
        if i % n_features == 0:
            read(vector)
        if answers[i] != vector[i % n_features]:
            end()
            raise Refused("golden.features", "window %d, feature %d" % divmod(i, n_features))
    read(bytearray(last))
    for _ in range(seen):
        read(pipeline.scores)
        wanted.update(pipeline.scores)
    end()
    if given.digest() != wanted.digest():
        raise Refused("golden.scores")
