"""The bundle: every byte is covered, hostile manifests are refused by name, golden vectors must be answered exactly."""

import json
import os

import tiny_bundle
from lcg import Lcg
from sensewell.bundle import Bundle
from sensewell.pipeline import Pipeline
from sensewell.policy import UNSIGNED, Policy
from sensewell.refusal import Refused

SMALL = {
    "n_features": 2, "rows": 1, "length": 8, "hop": 4, "trees": 1, "depth": 2, "rules": [], "guard": {},
    "condition": {},
}  # fmt: skip


def refusal(data, board=None):
    """Why `data` is refused; '' if it is not."""
    try:
        Bundle.open(data, Policy(board, UNSIGNED))
        return ""
    except Refused as e:
        return e.reason


def sealed(**changes):
    """Why a small rules-only manifest with `changes` (None: key removed) is refused."""
    m = tiny_bundle.manifest(model={"family": "none"}, guard={}, condition={})
    m["sections"] = {}
    for key in changes:
        if changes[key] is None:
            del m[key]
        else:
            m[key] = changes[key]
    return refusal(tiny_bundle.seal(json.dumps(m, separators=(",", ":")).encode()))


def test_a_bundle_opens_from_a_buffer_and_from_a_file():
    data = tiny_bundle.build(**SMALL)
    bundle = Bundle.open(data, Policy("any", UNSIGNED))
    assert bundle.name == "tiny" and bundle.version == 1 and list(bundle.sections) == ["model"]
    with open("t_bundle.swb", "wb") as f:
        f.write(data)
    try:
        again = Bundle.open("t_bundle.swb")
        assert again.sections["model"] == bundle.sections["model"] and again.manifest == bundle.manifest
    finally:
        os.remove("t_bundle.swb")
    assert refusal("t_bundle.swb") == "bundle.missing"


def test_every_single_changed_byte_is_refused_by_name():
    data = bytearray(tiny_bundle.build(**SMALL))
    by_place = {}
    lcg = Lcg(9)
    for at in range(len(data)):
        keep = data[at]
        data[at] ^= 1 + lcg.next(255)
        reason = refusal(data)
        data[at] = keep
        assert reason.startswith("bundle."), at
        by_place[reason] = by_place.get(reason, 0) + 1
    assert refusal(data) == ""
    assert by_place["bundle.magic"] == 4 and by_place["bundle.version"] == 2 and by_place["bundle.header"] == 2
    assert by_place["bundle.signatures"] >= 3 and by_place["bundle.reserved"] == 4
    assert by_place["bundle.hash.manifest"] > 600 and by_place["bundle.hash.model"] > 20, by_place
    assert by_place["bundle.hash.golden"] > 30, by_place


def test_a_bundle_cut_anywhere_or_extended_is_refused():
    data = tiny_bundle.build(**SMALL)
    for size in range(0, len(data), 1 if len(data) < 64 else 3):
        assert refusal(data[:size]) == "bundle.truncated", size
    for size in range(len(data) - 20, len(data)):
        assert refusal(data[:size]) == "bundle.truncated", size
    for more in (b"\0", b"x", bytes(8), data):
        assert refusal(data + more) == "bundle.extended"


def test_bytes_that_no_section_claims_are_refused():
    text = b'{"sensewell":1}'
    assert refusal(tiny_bundle.seal(text)) == "bundle.schema.name"
    m = tiny_bundle.manifest(model={"family": "none"})
    m["sections"] = {}
    text = json.dumps(m, separators=(",", ":")).encode()
    assert refusal(tiny_bundle.seal(text)) == ""
    assert refusal(tiny_bundle.seal(text, bytes(8))) == "bundle.extended"


def test_hostile_json_is_refused_quickly():
    for text in (
        b"[" * 5000, b'{"a":' * 900, b"[" * 8 + b"]" * 8, b"1" * 5000, b'{"a":1e99999999999999999999999999}', b"NaN",
        b"{}", b"[]", b'""', b'{"sensewell":NaN}', b'{"sensewell":Infinity}', b'{ "sensewell":1}', b'{"sensewell":1',
        b'{"sensewell":1}}', b"\xff\xfe{}", b'{"\\u0000":1}', b'"' + b"a" * 500 + b'"',
        b'{"a":"' + b"b" * 5000 + b'"}',
        b"[[],{}]" * 1000, b'{"sensewell":1,"name":1}', b"nul", b"}{", b'{"sensewell":1,"name":"a","boards":{}}',
        b"--1", b",,,,",
    ):  # fmt: skip
        reason = refusal(tiny_bundle.seal(text))
        assert reason.startswith(("bundle.json", "bundle.schema", "bundle.memory")), (text[:20], reason)
    for size in (16385, 0x7FFFFFFF, 0xFFFFFFFF, 0):
        data = bytearray(tiny_bundle.seal(b"{}"))
        data[8:12] = size.to_bytes(4, "little")
        assert refusal(data) == "bundle.manifest"


def test_a_manifest_that_does_not_fit_together_names_the_part():
    assert sealed() == ""
    window = {"length": 16, "hop": 8, "min_quality_pct": 80}
    rule = {"name": "r", "on": {"channel": 0}, "when": "above", "limit": 5, "label": 0}
    config = tiny_bundle.manifest()["arbiter"]
    channel = {"name": "a", "unit": "", "scale": 1, "offset": 0}
    assert sealed(channels=[channel, dict(channel, name="b")]) == ""  # a number has no unit
    for part, values in (
        ("name", (None, "", 7)), ("version", (None, 0, True, "1")), ("rate_hz", (0, 1001, 50.0)),
        ("boards", ([], [1], "x")), ("min_runtime", ([0], [0, 1, 2], ["a", "b"])), ("sensewell", (None, 2)),
        ("channels", ([], [1], [channel] * 17, [dict(channel, scale=1e31)] * 2, [dict(channel, name=1)] * 2,
            [dict(channel, unit=None)] * 2, [dict(channel, unit="u" * 33)] * 2)),
        ("guard", ([], {"channels": [{}]}, {"gap_ms": -1}, {"disagree": [1]})),
        ("condition", ({"filters": [{}]}, {"x": [{}, {}]}, {"filters": "ab"})),
        ("window", (None, dict(window, length=1), dict(window, length=257), dict(window, hop=17), dict(window, hop=0))),
        ("bad_samples", ({"policy": "guess"}, {"fill_n": 8}, {"policy": ["hold"]})), ("derived", ({}, [1], [{}] * 9)),
        ("features", (None, [1], [{}] * 97)), ("labels", ([], ["a"] * 65, [1])),
        ("model", (None, {}, {"family": "magic"}, {"family": []}, {"family": "trees", "n_classes": 99})),
        ("rules", ([1], [dict(rule, on={"channel": 2})], [dict(rule, on={"feature": 5})], [dict(rule, on={})],
                   [dict(rule, when="x")], [dict(rule, limit=40000)], [dict(rule, clear=6)], [dict(rule, label=9)],
                   [dict(rule, interlock=1)], [rule] * 17)),
        ("arbiter", (None, dict(config, smooth_n=2), dict(config, fallback_label=9), dict(config, hold_ms=-1))),
        ("sections", (None, {"a": 1}, {"a": {"offset": 0, "bytes": 8, "sha256": "00"}})),
        ("golden", ({}, {"section": "x"})),
    ):  # fmt: skip
        for value in values:
            reason = sealed(**{part: value})
            assert reason == "bundle.schema." + part, (part, value, reason)


def test_a_manifest_says_its_rate_or_its_period_and_how_long_a_window_may_last():
    assert sealed(rate_hz=None, period_ms=1) == sealed(rate_hz=None, period_ms=3600000) == ""
    for value in (0, 3600001, 60000.0, True, "60000"):
        assert sealed(rate_hz=None, period_ms=value) == "bundle.schema.period_ms", value
    assert sealed(period_ms=20) == sealed(rate_hz=None) == "bundle.schema.rate_hz"  # both, neither
    day = {"length": 125, "hop": 24, "min_quality_pct": 80}
    assert sealed(rate_hz=None, period_ms=3600000, window=day) == ""  # 149 hours are less than 2**29 ms
    day["length"] = 126
    assert sealed(rate_hz=None, period_ms=3600000, window=day) == "bundle.schema.window"


def test_a_model_needs_its_section_and_its_proof():
    for lacking in ("model", "golden"):
        m = tiny_bundle.manifest()
        sections = {"model": b"12345678", "golden": b"12345678"}
        m["golden"] = {"section": "golden", "rows": 1, "windows": 1}
        del sections[lacking]
        assert refusal(tiny_bundle.write(m, sections)) == "bundle.schema." + lacking


def test_other_boards_and_newer_runtimes_are_refused():
    data = tiny_bundle.build(boards=["unix", "virt_c3"], **SMALL)
    assert refusal(data, "virt_c3") == "" and refusal(data) == "" and refusal(data, "esp32") == "bundle.board"
    assert sealed(min_runtime=[99, 0]) == "bundle.runtime"


def test_golden_vectors_must_be_answered_exactly():
    for flip, reason in ((None, ""), (2, "golden.scores"), (-1, "golden.features")):
        m = tiny_bundle.manifest()
        model = tiny_bundle.forest(5, 2)
        data = bytearray(tiny_bundle.golden(m, model))
        if flip is not None:
            data[20 if flip == 2 else flip] ^= 4
        bundle = Bundle.open(tiny_bundle.write(m, {"model": model, "golden": bytes(data)}))
        pipeline = Pipeline(bundle)
        try:
            bundle.prove(pipeline)
            assert reason == "" and pipeline.refusal == ""
        except Refused as e:
            assert e.reason == reason == pipeline.refusal, e.reason
            assert pipeline.model is None
    m = tiny_bundle.manifest()
    bundle = Bundle.open(tiny_bundle.write(m, {"model": model, "golden": tiny_bundle.golden(m, model) + b"1234"}))
    try:
        bundle.prove(Pipeline(bundle))
        raise AssertionError("proven")
    except Refused as e:
        assert e.reason == "golden.size"


def unproven(path, data, bundle):
    """Why `bundle`, opened before, is not proven once the file at `path` holds `data`; '' if it is."""
    if data is None:
        os.remove(path)
    else:
        with open(path, "wb") as f:
            f.write(data)
    pipeline = Pipeline(bundle)
    try:
        bundle.prove(pipeline)
    except Refused as e:
        assert pipeline.refusal == e.reason and pipeline.model is None
        return e.reason
    assert pipeline.refusal == "" and pipeline.model
    return ""


def test_what_is_proven_is_what_was_verified():
    data = tiny_bundle.build(**SMALL)
    path = "t_bundle.swb"
    with open(path, "wb") as f:
        f.write(data)
    bundle = Bundle.open(path)
    golden = bundle.manifest["sections"]["golden"]
    begin = len(data) - bundle.manifest["sections"]["model"]["offset"] - len(bundle.sections["model"])
    end = begin + golden["bytes"]
    assert golden["offset"] == 0
    assert unproven(path, data, bundle) == ""
    for at in range(begin, end, 7):  # features, scores, raw windows, their features
        changed = bytearray(data)
        changed[at] ^= 1
        assert unproven(path, changed, bundle) == "bundle.hash.golden", at
    for size in (0, begin - 1, begin, begin + 1, begin + 6, end - 3, end - 1):
        assert unproven(path, data[:size], bundle) == "bundle.truncated", size
    assert unproven(path, data[:begin] + data[begin + 2 : end] + bytes(2) + data[end:], bundle) == "bundle.hash.golden"
    assert unproven(path, None, bundle) == "bundle.missing"
    assert unproven(path, data, bundle) == ""
    os.remove(path)


def test_long_sections_are_read_in_blocks_and_others_than_the_model_are_not_kept():
    m = tiny_bundle.manifest(n_features=5)
    model = tiny_bundle.forest(5, 2)
    for rows, extra in ((1, 511), (3, 512), (80, 513), (81, 1024)):
        sections = {"model": model, "golden": tiny_bundle.golden(m, model, rows, 2), "other": bytes(extra)}
        data = bytearray(tiny_bundle.write(m, sections))
        bundle = Bundle.open(data)
        assert list(bundle.sections) == ["model"]
        bundle.prove(Pipeline(bundle))
        data[-1] ^= 1
        assert refusal(data) == "bundle.hash.other"


def test_random_changes_of_a_sealed_manifest_or_model_never_crash():
    lcg = Lcg(11)
    m = tiny_bundle.manifest()
    model = bytearray(tiny_bundle.forest(5, 2))
    golden = tiny_bundle.golden(m, bytes(model))
    text = bytearray(tiny_bundle.write(m, {"model": bytes(model), "golden": golden}))
    end = 56 + int.from_bytes(text[8:12], "little")
    body = bytes(text[end + -end % 8 :])
    text = text[56:end]
    signs = b'0123456789{}[]":,.-eabchnt'
    opened = 0
    for _ in range(60):
        changed = bytearray(text)
        for _ in range(1 + lcg.next(3)):
            changed[lcg.next(len(changed))] = signs[lcg.next(len(signs))]
        try:
            bundle = Bundle.open(tiny_bundle.seal(changed, body))
            opened += 1
            bundle.prove(Pipeline(bundle))
        except Refused:
            pass
        broken = bytearray(model)
        broken[lcg.next(len(broken))] = lcg.next(256)
        try:
            bundle = Bundle.open(tiny_bundle.write(m, {"model": bytes(broken), "golden": golden}))
            pipeline = Pipeline(bundle)
            bundle.prove(pipeline)
        except Refused as e:
            assert pipeline.refusal == e.reason
    assert opened > 0
