"""The calibration of this board: the file /calibration.json, which `sensewell calibrate` writes, apart from bundles.

    {"sensewell_calibration": 1, "made": [...],
     "channels": {"ax": {"from": "ay", "offset_raw": -12, "gain_q12": -4101}}}

A channel that is not named there is taken as it is read; `from` is the channel that stands for it where a part is
mounted turned. `made` says how, when and by whom; nobody reads it here. Knows no stations; condition.py applies it.
"""

import json

from sensewell.refusal import Refused

PATH = "/calibration.json"
_KEYS = "from offset_raw gain_q12"


def load(path=PATH):
    """What by_channel() takes, or None if there is no such file. Refused("calibration.unreadable", ".format")."""
    try:
        with open(path) as file:
            text = file.read()
    except OSError as e:
        if e.args[0] in (2, 44):  # ENOENT, and as WebAssembly numbers it
            return None
        raise Refused("calibration.unreadable", str(e))
    try:
        found = json.loads(text)
    except ValueError:
        raise Refused("calibration.unreadable", "no JSON")
    channels = found.get("channels") if type(found) is dict and found.get("sensewell_calibration") == 1 else None
    if type(channels) is not dict:
        raise Refused("calibration.format", "expected sensewell_calibration 1 and channels")
    for name, entry in channels.items():
        if type(entry) is not dict or [key for key in entry if key not in _KEYS.split()]:
            raise Refused("calibration.format", "%s: expected %s" % (name, _KEYS))
    return channels


def by_channel(calibration, names):
    """One dict a channel, as Condition takes them, of a bundle whose channels have these names.

    calibration: of load(), or such a list already. Refused("condition.calibration") if `from` is none of the names.
    """
    if type(calibration) is not dict:
        return calibration
    made = []
    for name in names:
        entry = dict(calibration.get(name, {}))
        if "from" in entry:
            if entry["from"] not in names:
                raise Refused("condition.calibration", "%s from %s: no such channel" % (name, entry["from"]))
            entry["from"] = names.index(entry["from"])
        made.append(entry)
    return made
