"""Checks what a manifest says of a network against the network, and lays out what model/net.py needs to run it.

Done once: dropped before anything runs. What the settings mean, model/net.py says.
"""

import struct
from array import array

from sensewell.build import number
from sensewell.build.value import edges, listed
from sensewell.model.neural import open as open_net
from sensewell.refusal import Refused

_GAIN = 16383
_SHIFT = 30


def make(buffer, spec, window, n_features):
    """What a Model is made of, in the order of its names; (n_outputs, score_total) last. Refused(...)."""
    net = open_net(buffer)
    if len(net.inputs) != 1 or len(net.outputs) != 1:
        raise Refused("model.input" if len(net.inputs) != 1 else "model.outputs", "more than one port")
    source, given = net.inputs[0], net.outputs[0]
    seen = spec.get("input", "features") == "window"
    rows, ring = (window.rows, window._s) if seen else (None, array("i", (n_features, 1, 1, 0)))
    plan = _plan(spec["take"], ring[0], source.zero_point)
    wanted = ring[1] * plan[0]
    if source.dtype != "b" or source.n != wanted:
        raise Refused("model.input", "%d numbers are taken, it has %d of '%s'" % (wanted, source.n, source.dtype))
    into, out = array("b", bytes(wanted)), array(given.dtype, bytes(given.n * struct.calcsize(given.dtype)))
    answer, facts, total = _ENDS[spec.get("output", "classes")](spec, source, given)
    return rows, ring, plan, net, into, out, answer, array("i", facts), (spec["n_classes"], total)


def _plan(spec, n, zero_point):
    of = listed(spec, "of", None, 0, n - 1, "model.take") if "of" in spec else range(n)
    if not of:
        raise Refused("model.take", "of: nothing is taken")
    plan = [len(of), zero_point + 128]
    limits = (("centre_raw", -32768, 32767), ("gain", 0, _GAIN), ("shift", 0, _SHIFT))
    centre, gain, shift = [listed(spec, key, len(of), least, most, "model.take") for key, least, most in limits]
    for i, index in enumerate(of):
        plan += [index, centre[i] + 32768, gain[i], shift[i]]
    return array("i", plan)


def _classes(spec, source, given):
    n = spec["n_classes"]
    fits = given.n == n > 1 or (given.n == 1 and n == 2)
    if not (fits and given.dtype == "b" and given.scale == 1 / 256 and given.zero_point == -128):
        raise Refused("model.outputs", "classes: not %d numbers of a softmax" % n)
    from sensewell.kernel.net_classes import answer

    return answer, [given.n], 256


def _anomaly(spec, source, given):
    if spec["n_classes"] != 2 or given.dtype != "b" or given.n != source.n:
        raise Refused("model.outputs", "anomaly: not two classes, or not the input again")
    facts = [given.n, source.zero_point + 128, given.zero_point + 128]
    limits = (("gain_in", 1, _GAIN), ("gain_out", 1, _GAIN), ("shift", 0, _SHIFT), ("limit_q8", 1, (1 << 28) - 1))
    facts += [number(spec["error"], key, None, least, greatest, "model.error") for key, least, greatest in limits]
    from sensewell.kernel.net_error import answer

    return answer, facts, 16384


def _value(spec, source, given):
    if given.dtype not in "bh":
        raise Refused("model.outputs", "a value: '%s'" % given.dtype)
    give = spec["give"]
    facts = [1 if given.dtype == "b" else 2, number(give, "index", given.n - 1, 0, given.n - 1, "model.give")]
    facts.append(given.zero_point + 32768)
    for key, least, greatest in (("gain", 1, _GAIN), ("shift", 0, _SHIFT), ("offset_raw", -32768, 32767)):
        facts.append(number(give, key, None, least, greatest, "model.give"))
    facts[-1] += 32768
    from sensewell.kernel.net_value import answer

    return answer, facts + edges(spec), 0


_ENDS = {"classes": _classes, "anomaly": _anomaly, "value": _value}
