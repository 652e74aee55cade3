"""The board's calibration: its file, channels by name, turned parts; what is no calibration is refused by name."""

import os
from array import array

import tiny_bundle
from sensewell.build.calibration import by_channel, load
from sensewell.bundle import Bundle
from sensewell.condition import Condition
from sensewell.pipeline import Pipeline
from sensewell.refusal import Refused

PATH = "calibration_test.json"


def _load(text):
    with open(PATH, "w") as file:
        file.write(text)
    try:
        return load(PATH)
    finally:
        os.remove(PATH)


def _refused(call):
    try:
        call()
    except Refused as error:
        return error.reason
    return ""


def test_a_file_is_read_and_none_is_none():
    assert load("no_such_calibration.json") is None
    found = _load('{"sensewell_calibration": 1, "channels": {"ax": {"offset_raw": 3}}, "made": {"how": "two points"}}')
    assert found == {"ax": {"offset_raw": 3}}


def test_what_is_no_calibration_is_refused_by_name():
    for text, reason in (
        ("", "calibration.unreadable"),
        ("nothing", "calibration.unreadable"),
        ('{"sensewell_calibration": 1,', "calibration."),  # MicroPython's parser takes more than others for whole
        ("[]", "calibration.format"),
        ('{"sensewell_calibration": 2, "channels": {}}', "calibration.format"),
        ('{"sensewell_calibration": 1, "channels": []}', "calibration.format"),
        ('{"sensewell_calibration": 1, "channels": {"ax": 3}}', "calibration.format"),
        ('{"sensewell_calibration": 1, "channels": {"ax": {"offset": 3}}}', "calibration.format"),
    ):
        assert _refused(lambda text=text: _load(text)).startswith(reason), text


def test_channels_are_found_by_name():
    names = ["ax", "ay", "t"]
    made = by_channel({"ay": {"from": "ax", "gain_q12": -4096}, "other": {"offset_raw": 1}}, names)
    assert made == [{}, {"from": 0, "gain_q12": -4096}, {}]
    assert by_channel([{}], names) == [{}]
    assert _refused(lambda: by_channel({"ax": {"from": "az"}}, names)) == "condition.calibration"


def test_a_turned_part_is_turned_back_then_scaled():
    turned = [{"from": 1, "gain_q12": -4096}, {"from": 2, "offset_raw": 10}, {"from": 0, "gain_q12": 8192}]
    condition = Condition(3, turned)
    assert not condition.identity
    out = array("h", [0, 0, 0])
    condition.apply(array("h", [100, 200, 300]), out)
    assert list(out) == [-200, 290, 200]
    condition.apply(array("h", [-32768, 200, 300]), out)  # what is missing is missing where it goes to
    assert list(out) == [-200, 290, -32768]
    assert Condition(2, [{"from": 0}, {"from": 1}]).identity
    for source in (3, -1, "ax"):
        assert _refused(lambda source=source: Condition(3, [{"from": source}] * 3)) == "condition.calibration"


def test_a_pipeline_takes_it_by_name():
    bundle = Bundle.open(tiny_bundle.build())
    names = [entry["name"] for entry in bundle.manifest["channels"]]
    pipeline = Pipeline(bundle, {names[0]: {"from": names[1]}, names[1]: {"from": names[0]}})
    bundle.prove(pipeline)
    row = array("h", [0] * pipeline.n_channels)
    pipeline.condition.apply(array("h", [5, -7]), row)
    assert list(row) == [(x * 4000 + 2048) >> 12 for x in (-7 - 10, 5 - 10)]  # as the bundle normalises
    assert _refused(lambda: Pipeline(bundle, {names[0]: {"gain_q12": 99999}})) == "condition.calibration"
