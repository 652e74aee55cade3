"""The slots of a board, asked and commanded over the wire by the board's own code (device/sensewell/command.py).

Knows verbs and what comes back; installing is deploy.py's.
"""

from __future__ import annotations

import ast
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from sensewell_host import believe
from sensewell_host.advice import with_advice
from sensewell_host.board import Board, BoardScriptError
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError

use_device_path()

from sensewell import command as device_command  # noqa: E402
from sensewell.refusal import Refused  # noqa: E402
from sensewell.slots import Slots  # noqa: E402

VERBS = {
    "back": "roll_back",
    "pin": "pin",
    "unpin": "unpin",
    "retry": "leave_safe",
}

_PINNED = 1  # of the flags in sensewell/journal.py

_SCRIPT = """
try:
    from sensewell import command
    from sensewell.policy import of_board
    from sensewell.slots import Slots, digest_of
    from sensewell.start import prover
    slots = Slots(prover(of_board({board!r})))
    {call}
    found = command.status(slots)
    active = found["active"]
    found["sound"] = not active or digest_of(slots.path)[1][:16].hex() == found["slots"][active]["sha256"]
    print("S", repr(found))
except Exception as error:
    print("REFUSED", getattr(error, "reason", type(error).__name__), "|", error)
"""


def check(journal: Any, board: str, content: bytes, again: bool) -> None:
    """Raise SensewellError where the slots of `board` (its name) would refuse the bundle, as their `journal` tells.

    To be asked before anything is written: else the bundle in the idle slot would be gone for nothing. again: take it
    even if it failed there.
    """
    if journal.flags & _PINNED:
        raise SensewellError(f"the active bundle of {board} is pinned: `sensewell slots unpin` first")
    release = json.loads(content[believe.HEADER_BYTES :][: int.from_bytes(content[8:12], "little")]).get("release", 0)
    digest = hashlib.sha256(content).digest()
    refused = None
    if not again and digest[:8] in (journal.failed[at : at + 8] for at in (0, 8, 16)):
        refused = "slots.failed_before: it failed on probation there"
    elif release < journal.floor:
        refused = f"slots.rollback: release counter {release}, the floor is {journal.floor}"
    if refused:
        raise SensewellError(f"{board} would refuse the bundle: {with_advice(refused, 'nothing was written')}")


def status(board: Board) -> dict[str, Any]:
    """What command.status says of the board's slots, its name under "board", development mode under "unsigned";
    "sound": is the active bundle's file what the journal says?"""
    return _ask(board, "")


def status_of(files: believe.Files) -> dict[str, Any] | None:
    """The same but board and development mode, worked out here from the journal among `files`; None: there is none."""

    def nothing_proven(path: str) -> Any:
        raise Refused("slots.journal")

    with tempfile.TemporaryDirectory(prefix="sensewell-") as folder:
        believe.fetch(files, believe.SLOTS, ("journal.0", "journal.1"), Path(folder))
        slots = Slots(nothing_proven, folder)
        return dict(device_command.status(slots)) if slots.journals else None


def command(board: Board, verb: str) -> dict[str, Any]:
    """Do what `verb` (of VERBS) says, and the status after it. SensewellError with the board's named reason."""
    return _ask(board, f"command.{VERBS[verb]}(slots)")


def _ask(board: Board, call: str) -> dict[str, Any]:
    name = board.info().name
    board.soft_reset()
    try:
        said = board.exec(_SCRIPT.format(board=name, call=call or "pass"), timeout_s=120).strip().splitlines()
    except BoardScriptError as error:
        raise SensewellError(f"{name} did not answer: {error}") from error
    word, _, rest = (said[-1] if said else "").partition(" ")
    if word != "S":
        if "ImportError" in rest:
            raise SensewellError(f"there is no Sensewell on {name}: bring it with `sensewell deploy`")
        raise SensewellError(f"{name} refuses: {with_advice(rest.partition(' | ')[2] or rest)}")
    found: dict[str, Any] = ast.literal_eval(rest)
    return {"board": name, "unsigned": board.exists("/unsigned"), **found}
