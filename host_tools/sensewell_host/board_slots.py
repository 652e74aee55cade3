"""The slots of a board, asked and commanded over the wire by the board's own code (device/sensewell/command.py).

Knows verbs and what comes back; installing is deploy.py's.
"""

from __future__ import annotations

import ast
import tempfile
from pathlib import Path
from typing import Any

from sensewell_host import believe
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

_SCRIPT = """
try:
    from sensewell import command
    from sensewell.policy import of_board
    from sensewell.slots import Slots
    from sensewell.start import prover
    slots = Slots(prover(of_board({board!r})))
    {call}
    print("S", repr(command.status(slots)))
except Exception as error:
    print("REFUSED", getattr(error, "reason", type(error).__name__), "|", error)
"""


def status(board: Board) -> dict[str, Any]:
    """What command.status says of the board's slots, its name under "board", development mode under "unsigned"."""
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
        raise SensewellError(f"{name} refuses: {rest.partition(' | ')[2] or rest}")
    found: dict[str, Any] = ast.literal_eval(rest)
    return {"board": name, "unsigned": board.exists("/unsigned"), **found}
