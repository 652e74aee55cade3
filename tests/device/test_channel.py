"""Channels: counts to SI units and back, and the refusal of channels that cannot be."""

from sensewell.channel import MISSING, Channel
from sensewell.refusal import Refused


def _reason(call, *args):
    try:
        call(*args)
    except Refused as error:
        return error.reason
    return None


def test_counts_survive_the_way_to_si_and_back():
    channel = Channel("ax", "m/s2", 0.0025, -1.5)
    for raw in (-32767, -1000, -1, 0, 1, 999, 32767):
        assert channel.to_raw(channel.to_si(raw)) == raw
    assert abs(channel.to_si(1000) - 1.0) < 1e-6


def test_values_outside_saturate_and_never_become_missing():
    channel = Channel("ax", "m/s2", 0.001)
    assert channel.to_raw(1e9) == 32767
    assert channel.to_raw(-1e9) == -32767


def test_missing_is_nan_both_ways():
    channel = Channel("ax")
    value = channel.to_si(MISSING)
    assert value != value
    assert channel.to_raw(value) == MISSING


def test_a_manifest_entry_needs_only_a_name():
    channel = Channel.from_manifest({"name": "t"})
    assert (channel.name, channel.unit, channel.to_si(7)) == ("t", "", 7)
    channel = Channel.from_manifest(
        {"name": "t", "unit": "degC", "scale": 0.01, "offset": 20, "lo_raw": -9, "hi_raw": 9}
    )
    assert (channel.unit, channel.lo_raw, channel.hi_raw) == ("degC", -9, 9)
    assert abs(channel.to_si(100) - 21) < 1e-5


def test_impossible_channels_are_refused_by_name():
    assert _reason(Channel.from_manifest, {"unit": "m"}) == "channel.name"
    assert _reason(Channel.from_manifest, {"name": "a", "scale": 0}) == "channel.scale"
    assert _reason(Channel.from_manifest, {"name": "a", "lo_raw": 5, "hi_raw": 5}) == "channel.range"
    assert _reason(Channel.from_manifest, {"name": "a", "lo_raw": -32768}) == "channel.range"
