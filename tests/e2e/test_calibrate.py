"""A virtual ESP32-C3 is calibrated by the command, face by face, and what it then decides on is what was calibrated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_bundle
from sensewell_host import calibrate, calibrate_commands
from sensewell_host.board import Board, connect, virtual
from sensewell_host.cli import app
from sensewell_host.deploy import deploy
from sensewell_host.errors import SensewellError
from typer.testing import CliRunner

pytestmark = pytest.mark.skipif(not virtual.is_built("virt_c3"), reason="virt_c3 is not built: make board-virt_c3")

# A part mounted about z, with an offset, that lies as the file /face says
SETUP = """
BOARD = "virt_c3"
CHANNELS = [("ax", "g"), ("ay", "g"), ("az", "g")]
class Sensor:
    n_channels = 3
    def __init__(self):
        with open("/face") as file:
            face = file.read()
        self.device = [0, 0, 0]
        self.device["xyz".index(face[1])] = 4000 if face[0] == "+" else -4000
        self.left = 400
    def read(self, row):
        x, y, z = self.device
        row[0] = -y + 100
        row[1] = x - 50
        row[2] = z + 7
        self.left -= 1
        return self.left
def sensor():
    return Sensor()
def outputs():
    return ()
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with virtual.session("virt_c3") as running:
        yield running.address


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle of three channels in g."""
    manifest = tiny_bundle.manifest(3, condition={})
    for entry, name in zip(manifest["channels"], ("ax", "ay", "az"), strict=True):
        entry.update(name=name, unit="g", scale=0.00025, offset=0.0)
    path = tmp_path_factory.mktemp("bundle") / "tiny.swb"
    model = tiny_bundle.forest(5, 2)
    golden = tiny_bundle.golden(manifest, model)
    path.write_bytes(tiny_bundle.write(manifest, {"model": model, "golden": golden}))
    return path


def put_face(board: Board, face: str) -> None:
    board.put("/face", face.encode())


def test_the_command_asks_for_each_face_and_the_board_applies_it(
    address: str, bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    setup = tmp_path / "setup.py"
    setup.write_text(SETUP)
    with connect(address) as wire:
        put_face(wire, "+x")
        deploy(wire, bundle, setup=setup, unsigned=True)

    asked = iter(calibrate.FACES)
    held: list[Board] = []

    def lay_down(text: str, *_: Any, **__: Any) -> str:
        face = next(asked)
        assert f" {face} " in text
        put_face(held[0], face)
        return ""

    sampled = calibrate.channels_of
    monkeypatch.setattr(calibrate, "channels_of", lambda wire: held.append(wire) or sampled(wire))
    monkeypatch.setattr(calibrate_commands.typer, "prompt", lay_down)
    arguments = ["calibrate", "imu", "--port", address, "--bundle", str(bundle), "--gyro", "", "--samples", "20"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "-1.0" in result.output and next(asked, None) is None

    with connect(address) as wire:
        found = calibrate.read(wire)
        assert found and found["channels"]["ax"] == {"from": "ay", "offset_raw": -50, "gain_q12": 4096}
        assert found["channels"]["ay"] == {"from": "ax", "offset_raw": 100, "gain_q12": -4096}
        put_face(wire, "-y")
        said = wire.exec(
            "from sensewell.node import compose\nfrom sensewell.build.calibration import load\nimport setup\n"
            "node = compose(setup.sensor(), '/slot/a.swb', calibration=load())\nnode.run(1)\n"
            "print(list(node.pipeline.row))"
        )
        assert json.loads(said) == [0, -4000, 0]


DRIVER = """
BOARD = "virt_c3"
CHANNELS = [("t", "degC"), ("p", "Pa"), ("rh", "%")]
def sensor():
    from sensewell.sensor.bme280 import Bme280
    from sensewell_sim.bme280 import Bme280 as Part
    from sensewell_sim.bus import Bus
    return Bme280(Bus(Part()))
def outputs():
    return ()
"""


def test_a_driver_that_measures_more_slowly_than_it_is_asked_gives_each_reading_once(
    address: str, bundle: Path, tmp_path: Path
) -> None:
    setup = tmp_path / "setup.py"
    setup.write_text(DRIVER)
    with connect(address) as wire:
        before = wire.get("/setup.py")
        deploy(wire, bundle, setup=setup, unsigned=True)
        rows = calibrate.sample(wire, len(calibrate.channels_of(wire)), 20, 1)
        wire.put("/setup.py", DRIVER.replace("Part())", "Part(address=0x77))").encode())
        with pytest.raises(SensewellError, match=r"sensor fails.*sensor\.nack"):
            calibrate.sample(wire, 3, 20)
        wire.put("/setup.py", before)
    assert rows.shape == (20, 3) and abs(rows[:, 0].mean() - 2508) < 20 and (rows[1:] != rows[:-1]).any(axis=1).all()


def test_two_points_may_be_below_zero(address: str, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(address) as wire:
        put_face(wire, "+y")
    faces = iter(("+y", "-y"))
    held: list[Board] = []
    sampled = calibrate.channels_of
    monkeypatch.setattr(calibrate, "channels_of", lambda wire: held.append(wire) or sampled(wire))
    monkeypatch.setattr(calibrate_commands.typer, "prompt", lambda *_, **__: put_face(held[0], next(faces)))
    arguments = ["calibrate", "two-point", "ax", "-1", "1", "-p", address, "--bundle", str(bundle), "--samples", "10"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    with connect(address) as wire:
        found = calibrate.read(wire)
        calibrate.clear(wire)
    assert found and found["channels"]["ax"] == {"offset_raw": 100, "gain_q12": 4096}
    refused = CliRunner().invoke(app, [*arguments, "--sample", "3"])
    assert refused.exit_code == 2
    for low, high in (("1", "1"), ("nan", "1"), ("1", "inf")):  # before anybody has brought anything anywhere
        refused = CliRunner().invoke(app, [*arguments[:3], low, high, *arguments[5:]])
        assert "expected two values that differ" in str(refused.exception)


def test_a_sensor_that_gives_nothing_new_is_said(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(address) as wire:
        put_face(wire, "+x")
        monkeypatch.setattr(calibrate, "WARM_MS", 20)
        monkeypatch.setattr(calibrate, "MOST_MS", 1)
        wire.put("/setup.py", SETUP.replace("self.left -= 1", "pass").encode())
        with pytest.raises(SensewellError, match="expected 10 samples, the sensor gave 1 within"):
            calibrate.sample(wire, 3, 10)
        wire.put("/setup.py", SETUP.encode())


def test_a_setup_that_says_its_own_calibration_is_not_measured_in_vain(address: str) -> None:
    with connect(address) as wire:
        wire.put("/setup.py", ("CALIBRATION = {'ax': {'offset_raw': 3}}" + SETUP).encode())
        with pytest.raises(SensewellError, match=r"says CALIBRATION, which comes before .*: take it out of setup.py"):
            calibrate.channels_of(wire)
        wire.put("/setup.py", SETUP.encode())
        assert calibrate.channels_of(wire) == ("ax", "ay", "az")


def test_at_rest_what_a_board_reads_becomes_0(address: str, bundle: Path, tmp_path: Path) -> None:
    floors = {name: {"raw": 100, "pct": 0} for name in ("ax", "ay", "az")}
    manifest = tiny_bundle.manifest(3, condition={}, rest={"seconds": 1, "sd_raw": 64, "floors": floors})
    for entry, name in zip(manifest["channels"], ("ax", "ay", "az"), strict=True):
        entry.update(name=name, unit="g", scale=0.00025, offset=0.0)
    model = tiny_bundle.forest(5, 2)
    asking = tmp_path / "rest.swb"
    golden = tiny_bundle.golden(manifest, model)
    asking.write_bytes(tiny_bundle.write(manifest, {"model": model, "golden": golden}))
    with connect(address) as wire:
        put_face(wire, "+x")
    arguments = ["calibrate", "rest", "--port", address, "--bundle"]
    refused = CliRunner().invoke(app, [*arguments, str(bundle)])
    assert refused.exit_code and "asks for no calibration at rest" in str(refused.exception)
    result = CliRunner().invoke(app, [*arguments, str(asking)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    with connect(address) as wire:
        found = calibrate.read(wire)
        calibrate.clear(wire)
    assert found and found["channels"] == {
        name: {"offset_raw": raw, "gain_q12": 2621} for name, raw in (("ax", 100), ("ay", 3950), ("az", 7))
    }
    assert found["made"][0]["how"] == "at rest"


def test_a_second_procedure_adds_to_it_and_clear_removes_it(address: str) -> None:
    with connect(address) as wire:
        before = calibrate.read(wire) or {"channels": {}}
        entries = {"t": calibrate.two_points("t", (0.0, 1000.0), (0.0, 10.0), 0.01, 0.0)}
        whole = calibrate.store(wire, entries, "two points", "me")
        assert set(whole["channels"]) == {*before["channels"], "t"}
        assert calibrate.read(wire) == whole
        calibrate.clear(wire)
        assert calibrate.read(wire) is None


def test_no_calibration_at_all_is_rules_only_with_its_reason(address: str, tmp_path: Path, bundle: Path) -> None:
    with connect(address) as wire:
        wire.put("/calibration.json", b"nonsense")
        said = wire.exec(
            "from sensewell.build import start\nnode = start.prepare([])\nnode.run(40)\n"
            "print(node.pipeline.refusal, node.limits, node.pipeline.arbiter.decision)",
            timeout_s=60,
        )
        calibrate.clear(wire)
    assert "refused: calibration.unreadable" in said
    assert said.strip().splitlines()[-1].startswith("calibration.unreadable None"), said
