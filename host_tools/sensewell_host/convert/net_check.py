"""What an int8 net asks of a board, checked before anything is deployed: operators, RAM, size, work; layers are named.

Reads .tflite files with neural_plan's reader and the engine's own verdict. Must not know Keras.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sensewell_host.convert import neural_plan
from sensewell_host.convert.net_engine import open_net
from sensewell_host.convert.tflm_ops import METHODS
from sensewell_host.device_path import use_device_path
from sensewell_host.errors import SensewellError


@dataclass(frozen=True)
class Needs:
    """bytes: of the file; arena_bytes: RAM that the engine holds; peak_bytes: the tensors that live at once at the
    layer `peak`; macs: multiply-accumulates and moves of one answer; ops: operators in order."""

    bytes: int
    arena_bytes: int
    peak_bytes: int
    peak: str
    macs: int
    ops: tuple[str, ...]


def layer_names(data: bytes) -> list[str]:
    """For each operator its kind and the layer whose output it writes: "CONV_2D of conv1"."""
    r = neural_plan.Reader(data)
    root = r.follow(0)
    graph = r.tables(root, 2)[0]
    codes = [max(r.value(code, 0, "b"), r.value(code, 3, "i")) for code in r.tables(root, 1)]
    tensors = r.tables(graph, 0)
    found = []
    for op in r.tables(graph, 3):
        code = codes[r.value(op, 0, "I")]
        kind = METHODS[code][0] if code in METHODS else f"operator {code}"
        start, count = r.vector(tensors[r.numbers(op, 2)[0]], 3)
        found.append(f"{kind} of {_layer(r.data[start : start + count].decode(errors='replace'))}")
    return found


def _layer(tensor: str) -> str:
    """relu2_1/Relu;norm2_1/batchnorm/add_1;conv2_1/convolution -> conv2: of fused layers the one with the weights."""
    parts = tensor.split(";")
    named = [part for part in parts if part.endswith(("convolution", "depthwise", "MatMul"))] or parts
    name = re.sub(r"_\d+$", "", named[0].split("/")[0].split(":")[0])
    return "the answer" if name.endswith("PartitionedCall") else name


def check(data: bytes, limits: Mapping[str, float]) -> tuple[Any, Needs]:
    """The net on this PC, and what it needs; SensewellError names the layer that a board cannot have.

    limits: at most so many `model_bytes`, `arena_bytes`, `macs`; what is not there is not limited.
    """
    use_device_path()
    from sensewell.refusal import Refused

    plan = neural_plan.plan(data)
    layers = layer_names(data)
    try:
        net = open_net(data)
    except Refused as refused:
        where = _where(str(refused), layers)
        raise SensewellError(f"the boards' engine would refuse this network: {refused}{where}") from refused
    needs = Needs(len(data), net.arena_bytes, plan.peak, layers[plan.peak_op], net.macs, tuple(net.ops))
    found = {"model_bytes": needs.bytes, "arena_bytes": needs.arena_bytes, "macs": needs.macs}
    for name, most in limits.items():
        if name in found and found[name] > most:
            raise SensewellError(
                f"the recipe's target was missed: {name}: at most {most:g}, got {found[name]}. Most RAM at once takes "
                f"{needs.peak} ({needs.peak_bytes} bytes of tensors): fewer or smaller layers need less"
            )
    if len(net.inputs) != 1 or len(net.outputs) != 1 or net.inputs[0].dtype != "b":
        raise SensewellError(f"expected one int8 input and one output, the network has {net.inputs} and {net.outputs}")
    return net, needs


def _where(refusal: str, layers: list[str]) -> str:
    """The engine says "operator 3, ...": which layer that is."""
    words = refusal.replace(",", " ").split()
    for word, number in itertools.pairwise(words):
        if word == "operator" and number.isdigit() and int(number) < len(layers):
            return f" ({layers[int(number)]})"
    return ""
