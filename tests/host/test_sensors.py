"""What the host knows of sensors: which drivers a setup.py needs, and that no node carries one it does not use."""

from __future__ import annotations

from pathlib import Path

import pytest
from sensewell_host import runtime, sensor_facts
from sensewell_host.dataset.recording import ChannelInfo
from sensewell_host.errors import SensewellError

SETUP = """
def sensor():
    from sensewell.sensor.bme280 import Bme280
    from sensewell_sim.bme280 import Bme280 as Part
    from sensewell_sim.bus import Bus
    return Bme280(Bus(Part()))
"""


def test_the_drivers_that_a_setup_imports_come_along_and_no_others(tmp_path: Path) -> None:
    setup = tmp_path / "setup.py"
    setup.write_text(SETUP)
    modules = set(runtime.modules_for(extra=runtime.imported_by(setup.read_bytes())))
    beyond = modules - set(runtime.modules_for())
    assert beyond == {
        "sensewell.build.datasheet", "sensewell.sensor", "sensewell.sensor.bme280", "sensewell.sensor.part",
        "sensewell_sim", "sensewell_sim.bme280", "sensewell_sim.bus",
    }  # fmt: skip
    setup.write_text("BOARD = 'virt_c3'\n")
    assert runtime.imported_by(setup.read_bytes()) == ()


def test_simulated_parts_are_no_part_of_the_runtime() -> None:
    parts = runtime.simulated_parts()
    assert "sensewell_sim" in parts and "sensewell_sim.mpu6886" in parts
    assert not set(parts) & set(runtime.all_modules())
    assert set(runtime.files("rv32imc", ["sensewell_sim.bus"])) == {"/lib/sensewell_sim/bus.mpy"}
    assert runtime.native_names(["/lib/sensewell_trees.mpy", "/lib/sensewell_sim/bus.mpy"]) == ("trees",)


def test_every_driver_has_a_simpletest() -> None:
    folder = Path(__file__).parents[2] / "device"
    helpers = {"__init__", "part", "crc", "several", "told", "show", "replay"}
    drivers = {path.stem for path in (folder / "sensewell" / "sensor").glob("*.py")} - helpers
    assert {f"{name}_simpletest" for name in drivers} == {path.stem for path in (folder / "examples").glob("*.py")}


def test_a_drivers_limits_go_by_channel_where_counts_mean_the_same() -> None:
    assert {"mpu6050", "bme280", "ds18b20"} <= set(sensor_facts.drivers())
    ax, other = ChannelInfo("ax", "m/s2", 9.80665 / 4096), ChannelInfo("light", "lx", 1.0)
    found = sensor_facts.limits("mpu6050", [ax, other])
    assert found == {"ax": {"stuck_n": 13, "sat_lo_raw": -32767, "sat_hi_raw": 32767}}
    for driver in sensor_facts.drivers():
        infos = [ChannelInfo("ax", "m/s2", 1.0)]
        with pytest.raises(SensewellError, match=r"say nothing about|none of them is in"):
            sensor_facts.limits(driver, infos)
    with pytest.raises(SensewellError, match="there is no driver 'hx711'"):
        sensor_facts.limits("hx711", [ax])
