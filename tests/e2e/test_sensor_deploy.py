"""A setup.py with a driver and a simulated part, deployed: its modules travel along, the board decides from it, and a
part that goes is named in the decisions."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_bundle
from sensewell_host.board import connect, virtual
from sensewell_host.deploy import deploy

pytestmark = pytest.mark.skipif(not virtual.is_built("virt_c3"), reason="virt_c3 is not built: make board-virt_c3")

SETUP = """
from sensewell.sensor.mpu6050 import Mpu6050
from sensewell.sensor.told import Told
from sensewell_sim.bus import Bus
from sensewell_sim.mpu6886 import Mpu6886

BOARD = "virt_c3"
part = Mpu6886()
imu = Mpu6050(Bus(part))

def sensor():
    return imu

def outputs():
    return (Told(imu), print)
"""

RUN = """
import setup
from sensewell.node import compose
node = compose(setup.sensor(), outputs=setup.outputs())
node.run(60)
setup.part.here = False
node.run(60)
setup.part.here = True
node.run(80)
print("DONE", node.sensor_errors, setup.imu.faults)
"""


def test_later_deploys_bring_the_drivers_of_the_setup_that_is_there(tmp_path: Path) -> None:
    bundles = [tmp_path / name for name in ("one.swb", "two.swb")]
    for number, bundle in enumerate(bundles):
        bundle.write_bytes(
            tiny_bundle.build(n_channels=6, rate_hz=100, n_features=5, rules=[], name="imu", version=1 + number)
        )
    setup = tmp_path / "setup.py"
    setup.write_text(SETUP)
    with virtual.session("virt_c3", icount=True) as running, connect(running.address) as board:
        deploy(board, bundles[0], setup=setup, unsigned=True)
        result = deploy(board, bundles[1], unsigned=True)
        assert board.exists(f"/slot/{result.slot}/sensewell_sim/mpu6886.mpy")
        assert board.exists(f"/slot/{result.slot}/sensewell/sensor/mpu6050.mpy")
        board.soft_reset()
        assert " model " in board.exec(RUN, timeout_s=60)
        board.put("/setup.py", b"def sensor(:\n")  # no Python: the board says so itself when it starts
        assert deploy(board, bundles[0], unsigned=True, live=False).board == "virt_c3"


def test_a_driver_on_a_simulated_part_is_deployed_and_decides(tmp_path: Path) -> None:
    bundle = tmp_path / "imu.swb"
    bundle.write_bytes(tiny_bundle.build(n_channels=6, rate_hz=100, n_features=5, rules=[], name="imu"))
    setup = tmp_path / "setup.py"
    setup.write_text(SETUP)
    # an instruction clock: a busy host must not be taken for a sensor that fails
    with virtual.session("virt_c3", icount=True) as running, connect(running.address) as board:
        result = deploy(board, bundle, setup=setup, unsigned=True)
        board.soft_reset()
        said = board.exec(RUN, timeout_s=60)
        assert board.exists(f"/slot/{result.slot}/sensewell_sim/mpu6886.mpy")
        assert not board.exists(f"/slot/{result.slot}/sensewell/sensor/bme280.mpy")
    lines = said.splitlines()
    sources = [line for line in lines if " model " in line]
    assert sources and "DONE" in lines[-1] and "sensor.nack" in lines[-1], said
    assert [line for line in lines if "quality unsigned sensor.nack" in line], said
    assert " model " in lines[-2] and "sensor." not in lines[-2], said
