"""The structure of a manifest: keys, types, ranges and lengths; and the settings that are read nowhere else.

What the settings mean, and the layout of the blocks of state made of them, the stations say.
"""

from array import array

from sensewell.build import choice, numbers
from sensewell.refusal import Refused

try:
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython

    const = micropython.const

# (see `numbers` and `choice`)
_WINDOW = const(
    """length none 2 256
hop none 1 256
min_quality_pct none 0 100"""
)
_POLICY = const("policy hold skip break")
_WHEN = const("when none above below")
_ON_BAD = const("on_bad hold trip")
_RULE = const(
    """limit none -32768 32767
priority 0 0 1000
dwell_ms 0 0 268435456
clear_dwell_ms 0 0 268435456
label none 0 %d"""
)
_RULE_WORDS = const(14)  # of state
_FAMILY = const("family - none trees neural linear")
_INPUT = const("input features window")
_OUTPUT = const("output classes anomaly value")
_ARBITER = const(
    """smooth_n none 1 16
smooth_m none 1 16
min_confidence_pct none 0 100
hold_ms none 0 268435456
return_n none 1 100
average_n 1 1 64
deadline_ms none 0 500000
fallback_label none 0 %d"""
)


def _check(good, part, detail=""):
    if not good:
        raise Refused("bundle.schema." + part, detail)


def _ints(spec, part, table):
    return numbers(spec, table, "bundle.schema." + part)


def _typed(m, good, table):
    # good: all must be there
    for kind, keys in table:
        for key in keys.split():
            if good or key in m:
                _check(type(m.get(key)) is kind, key)


def _list_of(specs, kind, least, greatest, part):
    _check(type(specs) is list and least <= len(specs) <= greatest, part, "expected %d..%d entries" % (least, greatest))
    for entry in specs:
        _check(type(entry) is kind, part)
        if kind is str:
            _check(0 < len(entry) <= 32, part, "a name of 1..32 characters")
    return len(specs)


def check(m):
    """Raise Refused("bundle.schema.<part>") unless keys, types, ranges and lengths of manifest `m` fit together."""
    _check(type(m) is dict and m.get("sensewell") == 1, "sensewell", "1 is expected")
    _typed(m, True, ((str, "name"), (list, "boards min_runtime channels features labels")))
    _typed(m, True, ((dict, "window model arbiter sections"),))
    _typed(m, False, ((dict, "guard bad_samples condition golden"), (list, "derived rules")))
    _list_of([m["name"]], str, 1, 1, "name")
    _ints(m, "version", "version none 1 1073741823")
    if "period_ms" in m:  # instead of rate_hz
        _check("rate_hz" not in m, "rate_hz", "and period_ms")
        period_ms = _ints(m, "period_ms", "period_ms none 1 3600000")[0]
    else:
        period_ms = 1000 // _ints(m, "rate_hz", "rate_hz none 1 1000")[0]
    _list_of(m["boards"], str, 1, 32, "boards")
    _list_of(m["min_runtime"], int, 2, 2, "min_runtime")
    _ints(m, "release", "release 0 0 1073741823")
    for key in ("arch", "devices"):
        _list_of(m.get(key, ["*"]), str, 1, 32, key)
    expires = m.get("expires")
    if expires is not None:
        _check(type(expires) is dict and type(expires.get("at")) is int and expires["at"] > 0, "expires")
        choice(expires, "without_clock refuse run", "bundle.schema.expires")

    n = _list_of(m["channels"], dict, 1, 16, "channels")
    for entry in m["channels"]:
        _list_of([entry.get("name")], str, 1, 1, "channels")
        unit = entry.get("unit")
        _check(type(unit) is str and len(unit) <= 32, "channels", "unit")  # "": a number, a binary input
        for key in ("scale", "offset"):
            value = entry.get(key)
            _check(type(value) in (int, float) and -1e30 < value < 1e30, "channels", key)
    guard = m.get("guard", {})
    _check(_list_of(guard.get("channels", []), dict, 0, n, "guard") in (0, n), "guard", "expected %d channels" % n)
    _list_of(guard.get("disagree", []), dict, 0, 16, "guard")
    _ints(guard, "guard", "gap_ms 0 0 268435456")
    for key, entries in m.get("condition", {}).items():
        _list_of(entries, dict, n, n, "condition")
        _check(key in ("filters", "normalise"), "condition", key)

    window = m["window"]
    length, hop, _ = _ints(window, "window", _WINDOW)
    _check(hop <= length, "window", "a hop longer than the window")
    _check((length + hop) * period_ms < 1 << 29, "window", "longer than the clock can tell")
    bad = m.get("bad_samples", {})
    choice(bad, _POLICY, "bundle.schema.bad_samples")
    _check(_ints(bad, "bad_samples", "fill_n 0 0 255")[0] < hop, "bad_samples", "fill_n: a hop or more")
    _list_of(m.get("derived", []), dict, 0, 8, "derived")
    n_features = _list_of(m["features"], dict, 0, 96, "features")
    n_labels = _list_of(m["labels"], str, 1, 64, "labels")

    model = m["model"]
    family = choice(model, _FAMILY, "bundle.schema.model")
    seen = choice(model, _INPUT, "bundle.schema.model")  # 1: the model sees windows
    choice(model, _OUTPUT, "bundle.schema.model")
    _check(family == 3 or family > 4 * seen, "model", "family")
    if family > 1:
        _ints(model, "model", "n_classes none 1 %d" % n_labels)
        _check(n_features > 0 or seen, "features", "none")
    rules = m.get("rules", [])
    _list_of(rules, dict, 0, 16, "rules")
    for rule in rules:
        _list_of([rule.get("name")], str, 1, 1, "rules")
        on = rule.get("on")
        _check(type(on) is dict and len(on) == 1, "rules", "on")
        if "channel" in on:
            _ints(on, "rules", "channel none 0 %d" % (n - 1))
        else:
            _ints(on, "rules", "feature none 0 %d" % (n_features - 1))
        when = choice(rule, _WHEN, "bundle.schema.rules")
        _check(when, "rules", _WHEN)
        limit = _ints(rule, "rules", _RULE % (n_labels - 1))[0]
        least, greatest = (limit, 32767) if when == 2 else (-32768, limit)
        _ints(rule, "rules", "clear %d %d %d" % (limit, least, greatest))
        _check(type(rule.get("interlock", False)) is bool, "rules", "interlock")
        choice(rule, _ON_BAD, "bundle.schema.rules")

    arbiter = m["arbiter"]
    n, of = _ints(arbiter, "arbiter", _ARBITER % (n_labels - 1))[:2]
    _check(n <= of, "arbiter", "smooth_n is above smooth_m")

    sections = m["sections"]
    for name, entry in sections.items():
        _list_of([name], str, 1, 1, "sections")
        _check(type(entry) is dict, "sections")
        _ints(entry, "sections", "offset none 0 16777215\nbytes none 1 16777215")
        _check(type(entry.get("sha256")) is str and len(entry["sha256"]) == 64, "sections", "sha256")
    golden = m.get("golden")
    if family > 1:
        _check(model.get("section") in sections, "model", "section")
        _check(golden is not None, "golden", "a model needs a proof")
    if golden is not None:
        _check(golden.get("section") in sections and (n_features > 0 or seen), "golden", "section")
        rows = 0 if family == 1 or seen else 256
        _ints(golden, "golden", "windows none 1 16\nrows none %d %d" % (min(rows, 1), rows))
    if family == 3:
        # An engine in native code needs a large piece of memory: it is loaded before the sections take theirs
        try:
            __import__("sensewell_neural")
        except ImportError:
            pass


def shape(m):
    """(length, hop, min_quality_pct, policy: 0 hold, 1 skip, 2 break, fill_n) of a manifest."""
    bad = m.get("bad_samples", {})
    values = numbers(m["window"], _WINDOW, "window") + [choice(bad, _POLICY, "bad_samples")]
    return values + numbers(bad, "fill_n 0 0 255", "bad_samples")


def rules(specs, n_channels, features):
    """(names, labels, state) of Rules; Refused("rules.index"/"rules.clear")."""
    names = tuple([spec["name"] for spec in specs])
    values = [numbers(spec, _RULE % 255, "rules") for spec in specs]  # limit, priority, dwells, label
    block = [len(specs), 0]
    order = sorted([(-values[number][1], number) for number in range(len(specs))])
    for kind in ("channel", "feature"):
        for rank, (_, number) in enumerate(order):
            spec = specs[number]
            if kind not in spec["on"]:
                continue
            index = spec["on"][kind]
            limit = values[number][0]
            clear = spec.get("clear", limit)
            below = choice(spec, _WHEN, "rules") == 2
            if not 0 <= index < (n_channels if kind == "channel" else len(features)):
                raise Refused("rules.index", spec["name"])
            if clear < limit if below else clear > limit:
                raise Refused("rules.clear", spec["name"])
            mask = 0x7FFF if below else 0x8000
            block += [rank, index, mask, (limit & 0xFFFF) ^ mask, (clear & 0xFFFF) ^ mask]
            block += [choice(spec, _ON_BAD, "rules"), spec.get("interlock", False)]
            block += values[number][2:4] + [0, 0, 0, number]
            block.append(1 << index if kind == "channel" else features[index])
        if kind == "channel":
            block[1] = len(block) // _RULE_WORDS
    labels = bytes([label for *_, label in values])
    return names, labels, array("i", [int(word) for word in block])


def arbiter(spec, labels, min_quality_pct):
    """(state, votes) of an Arbiter; Refused("arbiter.<key>", or "arbiter.smooth" if n of m is more than all)."""
    n, m, confidence, hold_ms, return_n, _, _, fallback = numbers(spec, _ARBITER % (len(labels) - 1), "arbiter")
    if n > m:
        raise Refused("arbiter.smooth")
    return array("i", [min_quality_pct, confidence, n, hold_ms, return_n, fallback] + [0] * 11), bytearray(m)
