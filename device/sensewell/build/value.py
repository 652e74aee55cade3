"""Reads lists of settings, and the edges between the classes of a value. Done once: dropped before anything runs."""

from sensewell.build import number
from sensewell.refusal import Refused


def listed(spec, key, n, least, greatest, name):
    """The list of ints `key` of a dict of settings; n: how many, None: any number. Refused(name) else."""
    values = spec.get(key)
    if type(values) is not list or (n is not None and len(values) != n):
        raise Refused(name, "%s: expected %s numbers" % (key, n))
    for value in values:
        number({key: value}, key, None, least, greatest, name)
    return values


def edges(spec):
    """How many there are, and the edges of a value's classes + 2**15. Refused("model.edges")."""
    values = listed(spec, "edges_raw", spec["n_classes"] - 1, -32768, 32767, "model.edges")
    if sorted(set(values)) != values:
        raise Refused("model.edges", "they do not ascend")
    return [len(values)] + [value + 32768 for value in values]
