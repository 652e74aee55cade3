"""Six faces and two points: the truth that was planted is found again; what cannot be right is refused."""

from __future__ import annotations

import numpy as np
import pytest
from sensewell_host import calibrate
from sensewell_host.errors import SensewellError

G = 4096.0
NAMES = ("t", "sx", "sy", "sz", "gx", "gy", "gz")
AXES = ("sx", "sy", "sz")
GYRO = ("gx", "gy", "gz")
OFFSET = np.array([120.0, -60.0, 15.0])
GAIN = np.array([1.03, 0.97, 1.01])  # what the part makes of 1 g
DRIFT = np.array([40.0, -7.0, 3.0])


def faces(turn: np.ndarray, noise: float = 6.0, tilt: float = 0.0) -> dict[str, np.ndarray]:
    """Six faces of a part that is mounted by `turn` (sensor = turn @ device), tilted by so many radians."""
    random = np.random.default_rng(5)
    about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    found = {}
    for number, face in enumerate(calibrate.FACES):
        up = np.zeros(3)
        up[number // 2] = G * (1 if face[0] == "+" else -1)
        mean = np.concatenate([[2500], turn @ (about_x @ up) * GAIN + OFFSET, DRIFT])
        found[face] = np.rint(mean + random.normal(0, noise, (60, 7))).astype(np.int16)
    return found


@pytest.mark.parametrize(
    "turn",
    [np.eye(3), np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]])],
    ids=["straight", "about z", "on its side"],
)
def test_six_faces_find_offset_gain_and_mounting(turn: np.ndarray) -> None:
    entries, left = calibrate.six_faces(faces(turn), NAMES, AXES, G, GYRO)
    assert left < 0.003
    device = np.array([0.3, -0.5, 0.8])
    rates = np.array([1000.0, -2000.0, 500.0])
    read = np.concatenate([[2500], turn @ device * G * GAIN + OFFSET, turn @ rates + DRIFT])
    got = np.array(calibrate.applied(entries, NAMES, read))
    assert got[0] == 2500  # no part of it
    assert np.abs(got[1:4] - device * G).max() < 12
    assert np.abs(got[4:] - rates).max() < 4


def test_axes_may_be_named_in_another_order_than_the_sensor_has_them() -> None:
    cyclic = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])  # sensor y is the device's x, and so on
    entries, left = calibrate.six_faces(faces(cyclic), NAMES, ("sy", "sz", "sx"), G)
    assert left < 0.003 and all("from" not in entry for entry in entries.values())


def test_a_device_that_moved_lay_askew_or_has_another_range_is_refused() -> None:
    straight = np.eye(3)
    with pytest.raises(SensewellError, match=r"moved while \+x"):
        calibrate.six_faces(faces(straight, noise=400), NAMES, AXES, G)
    with pytest.raises(SensewellError, match="flat on the face"):
        calibrate.six_faces(faces(straight, tilt=0.4), NAMES, AXES, G)
    mistaken = faces(straight)
    mistaken["+y"], mistaken["-y"] = mistaken["+x"], mistaken["-x"]
    with pytest.raises(SensewellError, match="another one for each axis"):
        calibrate.six_faces(mistaken, NAMES, AXES, G)
    for one, other in (("+x", "-x"), ("+z", "-z")):  # what was found would be a left-handed sensor
        swapped = faces(straight)
        swapped[one], swapped[other] = swapped[other], swapped[one]
        with pytest.raises(SensewellError, match="a mirror image of the sensor"):
            calibrate.six_faces(swapped, NAMES, AXES, G)
    dead = {face: np.where(np.arange(7) == 1, 17, rows).astype(np.int16) for face, rows in faces(straight).items()}
    with pytest.raises(SensewellError, match="gravity makes 0 counts on sx"):
        calibrate.six_faces({**dead, "+x": dead["+y"], "-x": dead["+y"]}, NAMES, AXES, G)
    with pytest.raises(SensewellError, match="expected about 8192"):
        calibrate.six_faces(faces(straight), NAMES, AXES, 2 * G)
    with pytest.raises(SensewellError, match="no channel 'ax'"):
        calibrate.six_faces(faces(straight), NAMES, ("ax", "sy", "sz"), G)


def test_two_points_find_offset_and_gain() -> None:
    entry = calibrate.two_points("t", (1010.0, 9760.0), (0.0, 85.0), 0.01, 0.0)
    cold, hot = (calibrate.applied({"t": entry}, ("t",), [raw])[0] for raw in (1010, 9760))
    assert abs(cold) <= 2 and abs(hot - 8500) <= 2
    for read, true, expected in (
        ((10.0, 20.0), (0.0, 85.0), "at least 16 counts"),
        ((10.0, 5000.0), (20.0, 20.0), "two points apart"),
        ((10.0, 110.0), (0.0, 85.0), "a gain of 85"),
    ):
        with pytest.raises(SensewellError, match=expected):
            calibrate.two_points("t", read, true, 0.01, 0.0)
