"""What this board is and whom it believes: may a bundle, sound by itself, run here? Asked before it runs, each time.

It must not know slots, files of bundles or how they came. The board's trust root and its choice of development mode lie
on its flash; nothing in a bundle can change either.

A bundle says what it is made for in its manifest; all but `boards` may be absent, and then do not matter. (Its release
counter matters when it comes in, not when it runs: install.py, slots.py.)

    boards       list of board names, "*": any                                               else bundle.board
    arch         list of architectures such as "rv32imc", of native code in it               else bundle.arch
    devices      list of unique ids (hex) of single boards                                   else bundle.device
    expires      {"at": seconds since 1970, "without_clock": "refuse" or "run"}              else bundle.expired, .clock
    channels     as the board's own setup states them: names, units, order, if it does       else bundle.channels
"""

import os

from sensewell.refusal import Refused

DEVELOPMENT = "/unsigned"  # a file whose being there is the choice: everything runs, and every decision says so
UNSIGNED = "unsigned"


class Policy:
    """board: its name; trust: a Trust, or UNSIGNED; None: there is none, and nothing is believed. now_s: seconds since
    1970 by a clock that can be trusted, None: there is no such clock. device: unique id in hex; channels:
    [(name, unit)]. What is None of board, arch and channels is not asked.

    `note`: "" or why a decision of this board is worth less, for its reason.
    """

    def __init__(self, board=None, trust=None, now_s=None, arch=None, device=None, channels=None):
        self.board = board
        self.trust = trust
        self.now_s = now_s
        self.arch = arch
        self.device = device
        self.channels = channels
        self.note = UNSIGNED if trust == UNSIGNED else ""

    def believes(self, digest, signatures):
        """Refused("trust.missing", "signature....") unless enough release keys signed `digest`; see Trust.check."""
        if self.trust is None:
            raise Refused("trust.missing", "this board was given no trust root, and has no " + DEVELOPMENT)
        if self.trust != UNSIGNED:
            self.trust.check(2, digest, signatures)  # RELEASE

    def takes(self, manifest):
        """Refused("bundle....") as in the table above. The manifest's structure has been checked."""
        if self.board is not None:
            _one_of(manifest["boards"], self.board, "board")
        if "arch" in manifest and self.arch is not None:
            _one_of(manifest["arch"], self.arch, "arch")
        if "devices" in manifest:
            _one_of(manifest["devices"], self.device, "device")
        if "expires" in manifest:
            expires = manifest["expires"]
            if self.now_s is None:
                if expires.get("without_clock") != "run":
                    raise Refused("bundle.clock", "it expires, and this board has no clock to trust")
            elif self.now_s >= expires["at"]:
                raise Refused("bundle.expired", "at %d, now it is %d" % (expires["at"], self.now_s))
        if self.channels is not None:
            made_for = [(channel["name"], channel["unit"]) for channel in manifest["channels"]]
            if made_for != [tuple(channel) for channel in self.channels]:
                raise Refused("bundle.channels", "made for %s" % made_for)


def of_board(board=None, now_s=None, channels=None):
    """The Policy of the board that runs this, as its flash says; Refused("trust....") where its trust root is lost."""
    trust = UNSIGNED
    try:
        os.stat(DEVELOPMENT)
    except OSError:
        trust = None
    if trust is None:
        from sensewell.trust_store import stored

        trust = stored()
    return Policy(board, trust, now_s, _arch(), device_id(), channels)


def _one_of(wanted, this, what):
    if "*" not in wanted and this not in wanted:
        raise Refused("bundle." + what, "made for %s, this is %s" % (wanted, this))


def _arch():
    # as MicroPython numbers them in sys.implementation._mpy; None on a PC
    import sys

    number = getattr(sys.implementation, "_mpy", 0) >> 10 & 15
    names = " x86 x64 armv6 armv6m armv7m armv7em armv7emsp armv7emdp xtensa xtensawin rv32imc".split(" ")
    return names[number] if 0 < number < len(names) else None


def device_id():
    """The board's unique id in hex, None where it has none."""
    try:
        from machine import unique_id
    except ImportError:
        return None
    from binascii import hexlify

    return hexlify(unique_id()).decode()
