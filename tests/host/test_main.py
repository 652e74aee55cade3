"""device/sensewell/start.py on this PC, in a folder for a flash: whatever is missing or refused is named, and what else
is in the slots takes over. There is no reset here: a start goes on with what it would have restarted into.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import tiny_bundle
from sensewell import node, probation, start
from sensewell.build import start as build
from sensewell.install import Install
from sensewell.journal import Journal
from sensewell.policy import UNSIGNED, Policy
from sensewell.slots import STATES, Slots

WINDOW = 16  # samples, and a hop is 8
TICKS_MASK = (1 << 30) - 1


class Clock:
    """Stands still but for what the node sleeps, so that a busy computer loses no sample."""

    now_us = 5_000_000

    @classmethod
    def ticks_us(cls) -> int:
        return cls.now_us & TICKS_MASK

    @classmethod
    def ticks_ms(cls) -> int:
        return cls.now_us // 1000 & TICKS_MASK

    @classmethod
    def sleep_us(cls, duration_us: int) -> None:
        cls.now_us += duration_us


class Sensor:
    """Two channels; Ctrl-C after `samples` rows, or the end of the recording."""

    samples = 100
    ends = False

    def __init__(self) -> None:
        self.read_so_far = 0

    def read(self, row: list[int]) -> int:
        self.read_so_far += 1
        if self.read_so_far > self.samples:
            if self.ends:
                return -1
            raise KeyboardInterrupt
        row[0] = row[1] = self.read_so_far * 377 % 4000 - 2000
        return Clock.ticks_ms()


class Flash:
    """Slots in a folder, and what a start on them says."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def install(self, name: str, confirmed: bool = False, **options: object) -> None:
        labels = [f"{name}0", f"{name}1", "unknown", "alarm", "still"]
        limits = {"windows": 3, "seconds": 1000, "lost_pct": 100}
        made = {"name": name, "labels": labels, "rate_hz": 250, "probation": limits, **options}
        data = tiny_bundle.build(**made)
        slots = self.slots()
        install = Install(slots, len(data), tiny_bundle.hashlib.sha256(data).digest())
        install.begin()
        install.write(data)
        install.commit()
        slots.switch()
        if confirmed:
            slots.confirm()

    def slots(self) -> Slots:
        return Slots(build.prover(Policy(trust=UNSIGNED)), str(self.folder))

    def run(self) -> str:
        start.run()
        return self._capsys.readouterr().out

    def states(self) -> str:
        """The states of both slots, the active one in capitals, and its tries."""
        journal = Journal(str(self.folder))
        journal.load()
        words = [STATES[slot.state] for slot in journal.slots]
        if journal.active < 2:
            words[journal.active] = words[journal.active].upper()
            words.append(str(journal.slots[journal.active].tries))
        return " ".join(words)

    def cause(self) -> str:
        journal = Journal(str(self.folder))
        journal.load()
        return journal.cause


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    setup = ModuleType("setup")
    setup.sensor = Sensor  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "setup", setup)
    return setup


@pytest.fixture
def flash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], setup: ModuleType
) -> Flash:
    monkeypatch.setattr(Sensor, "samples", 100)
    monkeypatch.setattr(Sensor, "ends", False)
    for module in (node, probation):
        for name in ("ticks_ms", "ticks_us", "sleep_us"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, getattr(Clock, name))
    monkeypatch.setattr(start, "GRACE_MS", 0)
    monkeypatch.setattr(start, "SAFE", str(tmp_path / "safe"))
    monkeypatch.setattr(build, "SLOTS", str(tmp_path))
    monkeypatch.setattr(build, "of_board", lambda board, now_s, channels: Policy(board, UNSIGNED, now_s, None, None))
    return Flash(tmp_path, capsys)


def raising(error: BaseException) -> Callable[..., None]:
    def function(*args: object) -> None:
        raise error

    return function


def test_nothing_is_started_in_safe_mode_or_after_ctrl_c(flash: Flash, monkeypatch: pytest.MonkeyPatch) -> None:
    flash.install("one")
    records = Journal(str(flash.folder))
    assert records.load()
    with monkeypatch.context() as patch:
        patch.setattr(start, "sleep_ms", raising(KeyboardInterrupt()))
        assert "starting in" in flash.run() and flash.states() == "PROBATION empty 3"
    (flash.folder / "safe").touch()
    assert flash.run().startswith("sensewell: safe mode, nothing started")
    after = Journal(str(flash.folder))
    assert after.load() and after.sequence == records.sequence  # nothing was written either


def test_an_empty_board_says_what_brings_a_bundle(flash: Flash) -> None:
    assert "slots.empty: nothing to run (sensewell deploy brings a bundle)" in flash.run()


def test_probation_ends_with_windows_ctrl_c_or_a_recordings_end_and_only_windows_confirm(flash: Flash) -> None:
    flash.install("one")
    for Sensor.ends in (False, True):
        Sensor.samples = WINDOW + 8
        assert flash.run().endswith("stopped\n") and flash.states() == "PROBATION empty 3"
    Sensor.samples = WINDOW + 16
    said = flash.run()
    assert "a.swb, probation; features" in said and said.count(" one") == 3
    assert flash.states() == "CONFIRMED empty 2"
    assert "a.swb, confirmed" in flash.run() and flash.states() == "CONFIRMED empty 2"


def test_a_setup_that_is_missing_or_raises_is_named(flash: Flash, setup: ModuleType) -> None:
    flash.install("one")
    sys.modules["setup"] = None  # type: ignore[assignment]  # as if it were not there
    flash_says = flash.run()
    assert "setup." in flash_says and flash.states() == "PROBATION empty 3"
    sys.modules["setup"] = setup
    for part in ("sensor", "outputs", "now_s"):
        kept = getattr(setup, part, None)
        setattr(setup, part, raising(OSError(5, part)))
        said = flash.run()
        assert f"setup.exception: OSError(5, '{part}')" in said
        assert (flash.states(), flash.cause()) == ("PROBATION empty 3", "setup.exception")
        if kept:
            setattr(setup, part, kept)
        else:
            delattr(setup, part)
    Sensor.samples = 5
    assert "a.swb, probation" in flash.run()


def test_a_setup_without_a_sensor_is_its_own_fault(flash: Flash, setup: ModuleType) -> None:
    flash.install("one", True)
    del setup.sensor  # type: ignore[attr-defined]
    assert "setup.exception" in flash.run() and flash.states() == "CONFIRMED empty 3"


def test_a_refused_bundle_gives_way_and_with_none_left_the_reason_is_named(flash: Flash) -> None:
    flash.install("one", True)
    flash.install("two")
    data = bytearray((flash.folder / "b.swb").read_bytes())
    (flash.folder / "b.swb").write_bytes(data[:-1])
    said = flash.run()
    assert "a.swb, confirmed" in said and " two" not in said and " one" in said
    assert (flash.states(), flash.cause()) == ("CONFIRMED refused 3", "slots.hash")
    (flash.folder / "a.swb").unlink()
    assert "slots.missing: nothing to run" in flash.run()
    assert (flash.states(), flash.cause()) == ("CONFIRMED refused 3", "slots.missing")


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_model_that_does_not_answer_as_it_did(flash: Flash, monkeypatch: pytest.MonkeyPatch, confirmed: bool) -> None:
    flash.install("one", True)
    flash.install("two", confirmed)
    from sensewell.model.trees import Forest

    right = Forest.predict

    def wrong(self: Forest, features: object, scores: list[int]) -> int:
        best: int = right(self, features, scores)
        if self.broken:
            scores[0] += 1
        return best

    monkeypatch.setattr(Forest, "predict", wrong)
    monkeypatch.setattr(Forest, "broken", True, raising=False)
    said = flash.run()
    assert said.count("the model was refused: golden.scores") == 2 and "b.swb" not in said
    assert "a.swb, golden.scores; " in said and "rules only: golden.scores" in said and "unknown  0%" in said
    assert flash.states() == "CONFIRMED refused 3"  # nothing is left to return to: by rules alone, this time
    monkeypatch.setattr(Forest, "broken", False)
    assert " model  ok" in flash.run()


def test_a_model_that_is_refused_on_a_first_probation_ends_in_safe_mode(
    flash: Flash, monkeypatch: pytest.MonkeyPatch
) -> None:
    flash.install("one")
    from sensewell.model.trees import Forest

    monkeypatch.setattr(Forest, "predict", lambda self, features, scores: 0)
    said = flash.run()
    assert "rules only: golden.scores" in said and "refused unsigned" in said
    assert (flash.states(), flash.cause()) == ("REFUSED empty 2", "golden.scores")
    said = flash.run()
    assert "a.swb, golden.scores; " in said and "model none" in said and "refused unsigned safe" in said


def test_too_little_memory_and_broken_code_give_way(flash: Flash, monkeypatch: pytest.MonkeyPatch) -> None:
    flash.install("one", True)
    flash.install("two", True)
    compose = build.compose
    for error, cause, states in (
        (MemoryError(), "bundle.memory", "CONFIRMED refused 3"),
        (ImportError("no module named 'sensewell.rules'"), "slots.code", "CONFIRMED refused 3"),
    ):

        def composed(sensor: object, path: str, *settings: object, error: Exception = error) -> object:
            if path.endswith("b.swb"):
                raise error
            return compose(sensor, path, *settings)

        monkeypatch.setattr(build, "compose", composed)
        said = flash.run()
        assert "a.swb, confirmed" in said and " one" in said
        assert (flash.states(), flash.cause()) == (states, cause)
        monkeypatch.setattr(build, "compose", compose)
        if cause == "bundle.memory":
            flash.install("two", True)


def test_code_that_is_of_the_other_slot(flash: Flash, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader found none of the active slot's: the other bundle is taken, which belongs to the code that runs."""
    flash.install("one", True)
    flash.install("two")
    monkeypatch.setattr(sys, "path", [str(flash.folder / "a"), *sys.path])
    said = flash.run()
    assert "a.swb, confirmed" in said and "restarting" not in said
    assert (flash.states(), flash.cause()) == ("CONFIRMED refused 3", "slots.code")


def test_code_of_the_other_slot_serves_where_there_is_no_other_bundle(
    flash: Flash, monkeypatch: pytest.MonkeyPatch
) -> None:
    flash.install("one", True)
    monkeypatch.setattr(sys, "path", [str(flash.folder / "b"), *sys.path])
    said = flash.run()
    assert "a.swb" in said and " one" in said  # it has answered its golden vectors
    assert flash.cause() == "slots.code"


def test_a_lost_journal_is_made_anew_and_the_board_restarts_into_the_right_code(
    flash: Flash, monkeypatch: pytest.MonkeyPatch
) -> None:
    flash.install("one", True)
    flash.install("two", True, version=2)
    for name in ("journal.0", "journal.1"):
        (flash.folder / name).unlink()
    monkeypatch.setattr(sys, "path", [str(flash.folder / "a"), *sys.path])  # what the loader takes without one
    Sensor.samples = 5
    resets = []
    monkeypatch.setattr(build, "_reset", lambda: resets.append(1))
    said = flash.run()
    assert "slots.adopted, restarting into" in said and resets == [1]
    assert flash.states().startswith("whole PROBATION")


def test_a_journal_that_cannot_be_written_never_makes_a_board_restart(
    flash: Flash, monkeypatch: pytest.MonkeyPatch
) -> None:
    flash.install("one", True)
    flash.install("two", True)
    (flash.folder / "b.swb").write_bytes(b"")
    monkeypatch.setattr(sys, "path", [str(flash.folder / "b"), *sys.path])
    monkeypatch.setattr(Journal, "store", raising(OSError(28, "full")))
    monkeypatch.setattr(build, "_reset", raising(AssertionError()))
    said = flash.run()
    assert "a.swb, confirmed" in said and " one" in said  # it would choose the same again and again


def test_what_the_pipeline_raises_is_given_up_on_probation_only(flash: Flash, monkeypatch: pytest.MonkeyPatch) -> None:
    from sensewell.node import Node

    flash.install("one", True)
    flash.install("two")
    monkeypatch.setattr(Node, "_step", raising(ZeroDivisionError("here")))
    resets = []
    monkeypatch.setattr(build, "_reset", lambda: resets.append(1))
    said = flash.run()
    assert "ZeroDivisionError('here')" in said and "probation.exception, restarting into" in said and resets == [1]
    assert (flash.states(), flash.cause()) == ("CONFIRMED refused 3", "probation.exception")
    said = flash.run()
    assert "ZeroDivisionError('here')" in said and "restarting" not in said and resets == [1]
    assert flash.states() == "CONFIRMED refused 3"


def test_a_board_that_starts_over_and_over_ends_in_safe_mode(flash: Flash, monkeypatch: pytest.MonkeyPatch) -> None:
    flash.install("one", True)
    monkeypatch.setattr(build, "_setup", raising(SystemExit()))  # stands for the reset that it does at once
    for _ in range(9):
        with pytest.raises(SystemExit):
            start.run()
    monkeypatch.undo()
    slots = Slots(None, str(flash.folder))
    assert slots.safe and slots.why == "slots.starts"


def test_setup_is_not_even_looked_at_before_the_start_is_counted(flash: Flash, setup: ModuleType) -> None:
    flash.install("one")
    seen = []

    def sensor() -> Sensor:
        seen.append(flash.states())
        return Sensor()

    setup.sensor = sensor  # type: ignore[attr-defined]
    Sensor.samples = 1
    flash.run()
    assert seen == ["PROBATION empty 2"] and flash.states() == "PROBATION empty 3"
    assert os.path.exists(flash.folder / "a.swb")
