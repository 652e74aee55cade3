"""The proof that a forest is sound by the native module sensewell_trees; build/trees.py is the same in bytecode."""

from sensewell_trees import verify

from sensewell.refusal import Refused

try:
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython

    const = micropython.const

# as sw_trees.h numbers them
_REASONS = const("truncated magic version extended schema kind header alignment trees leaf feature_index jump overflow")


def prove(buffer, n_features, n_classes):
    """Returns score_total; Refused("model....") if the forest is not entirely sound, or not made for these numbers."""
    flaw = verify(buffer, n_features, n_classes)
    if flaw:
        raise Refused("model." + _REASONS.split()[flaw - 1])
    total = buffer[16] | buffer[17] << 8
    if buffer[5] < 3:
        return total * (buffer[8] | buffer[9] << 8)
    return 0 if total == 3 else 16384
