"""What the drivers of device/sensewell/sensor know from datasheets, for the host: channels and limits of the guard.

Asks the drivers themselves; knows no part.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from sensewell_host.dataset.recording import ChannelInfo
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError

_HELPERS = {"__init__", "part", "crc", "several", "told", "show", "replay"}
_ON_PINS = {"adc", "pulse", "gpio"}  # how they are wired and scaled, only a setup.py knows


def drivers() -> list[str]:
    """Parts with a datasheet, such as mpu6050."""
    files = (use_device_path() / "sensewell" / "sensor").glob("*.py")
    return sorted({path.stem for path in files} - _HELPERS - _ON_PINS)


def limits(driver: str, channels: Iterable[ChannelInfo]) -> dict[str, dict[str, int]]:
    """{channel: limits of the guard} of those of `channels` that the driver, as it is set up by default, has.

    SensewellError where there is no such driver, none of its channels is there, or counts mean something else there.
    """
    if driver not in drivers():
        raise SensewellError(f"there is no driver {driver!r}: expected one of {', '.join(drivers())}")
    part: Any = getattr(importlib.import_module(f"sensewell.sensor.{driver}"), driver.capitalize())(None)
    known = {entry["name"]: (entry, limit) for entry, limit in zip(part.channels(), part.limits(), strict=True)}
    found: dict[str, dict[str, int]] = {}
    for channel in channels:
        if channel.name not in known:
            continue
        entry, limit = known[channel.name]
        if abs(channel.scale / entry["scale"] - 1) > 0.01 or channel.unit != entry["unit"]:
            raise SensewellError(
                f"channel {channel.name}: counts of {channel.scale:g} {channel.unit} here, of {entry['scale']:g} "
                f"{entry['unit']} from {driver}: its limits say nothing about these recordings"
            )
        found[channel.name] = limit
    if not found:
        raise SensewellError(f"{driver} has the channels {', '.join(known)}: none of them is in the recordings")
    return found
