"""The calibration of the board that made each recording of a capture, as the capture has brought it along.

A capture has counts as they were read, a board calibrates them before it makes windows of them: what learns from such
recordings, or judges by them, has to do the same. Knows datasets and the device's own code; no board.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sensewell_host.dataset.recording import Dataset, Recording
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError

Entries = dict[str, dict[str, Any]]  # by channel name, as /calibration.json has them


def calibrations(dataset: Dataset) -> dict[str, Entries]:
    """By recording what its board was calibrated with, {}: not at all. Nothing where no recording's board was.

    SensewellError where a board could not apply what a capture says of it.
    """
    sessions = {one["recording"]: one for one in _sessions(dataset.notes)}
    names = [channel.name for channel in dataset.channels]
    told: dict[str, Entries] = {}
    found = {}
    for recording in dataset.recordings:
        session = _session_of(recording, sessions)
        if session and session not in told:
            told[session] = _entries(sessions[session].get("calibration"), names, session)
        found[recording.name] = told.get(session, {})
    return found if any(found.values()) else {}


def as_lists(entries: Entries, names: Sequence[str]) -> list[dict[str, Any]]:
    """One dict a channel, as device/sensewell/condition.py takes them."""
    use_device_path()
    from sensewell.build.calibration import by_channel

    return list(by_channel(entries, list(names)))


def _sessions(notes: Mapping[str, Any]) -> list[dict[str, Any]]:
    about = notes.get("about")
    found = about.get("sessions") if isinstance(about, dict) and about.get("captured") is True else None
    sessions = found if isinstance(found, list) else []
    return [one for one in sessions if isinstance(one, dict) and isinstance(one.get("recording"), str)]


def _session_of(recording: Recording, sessions: Mapping[str, Any]) -> str:
    """The session that a recording is from, "": none. A hole makes two recordings of one, NAME and NAME-2."""
    said = str(recording.extra.get("recording", recording.name))
    return next((name for name in (said, said.rpartition("-")[0]) if name in sessions), "")


def _entries(said: Any, names: Sequence[str], session: str) -> Entries:
    """What setup.py or /calibration.json on the board said, by channel: only what changes counts."""
    use_device_path()
    from sensewell.condition import Condition
    from sensewell.refusal import Refused

    if isinstance(said, dict) and isinstance(said.get("channels"), dict):
        said = said["channels"]
    try:
        if isinstance(said, list):  # one a channel, `from` a number
            if len(said) != len(names):
                raise ValueError(f"expected {len(names)} channels, got {len(said)}")
            said = {name: dict(entry or {}) for name, entry in zip(names, said, strict=True)}
            for entry in said.values():
                if "from" in entry:
                    entry["from"] = names[entry["from"]]
        entries = {str(name): dict(entry) for name, entry in (said or {}).items() if entry}
        if Condition(len(names), as_lists(entries, names)).identity:
            return {}
    except (Refused, ValueError, TypeError, AttributeError, LookupError) as error:
        raise SensewellError(
            f"the calibration that came with {session} is none that a board could apply ({error}): correct it in the "
            "capture's schema, or take it out there, and import again"
        ) from error
    return {name: entry for name, entry in entries.items() if name in names}
