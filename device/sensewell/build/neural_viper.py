"""Opens a .tflite for kernel/neural_viper.py: proves it, plans its memory, loads the kernels that its operators need.

Done once: dropped before anything runs. The checks, their order and their names are those of device/native/neural.
"""

import struct

from sensewell.build.neural import DTYPES, memory, op_name
from sensewell.build.neural_graph import Flaw, Graph
from sensewell.build.neural_plan import Lives
from sensewell.model.neural import Port
from sensewell.refusal import Refused

# which function of sensewell.build makes a step of an operator, by its number in the schema
_MAKERS = (
    "neural_dense.dense 3 4 9 neural_pool.pool 1 17 neural_pool.mean 40 neural_point.pair 0 18 41 "
    "neural_point.softmax 25 neural_point.cast 6 114 neural_curve.curve 14 19 21 28 98 neural_move.copied 22 43 70 "
    "neural_move.pad 34 60 neural_move.strided_slice 45 neural_move.transpose 39 neural_move.join 2 83 88 "
    "neural_move.split 49 102 neural_state.svdf 27 neural_state.lstm 44"
)


def load(package, name):
    """Function `module.function` of a package, imported now."""
    if False:  # never: it tells the host what to send
        from sensewell.build import (  # noqa: F401
            neural_curve,
            neural_dense,
            neural_move,
            neural_point,
            neural_pool,
            neural_state,
        )
        from sensewell.kernel import (  # noqa: F401
            neural_cast,
            neural_deep,
            neural_lstm,
            neural_mean,
            neural_pair,
            neural_softmax,
            neural_svdf,
        )
        from sensewell.kernel import neural_curve as a  # noqa: F401
        from sensewell.kernel import neural_dense as b  # noqa: F401
        from sensewell.kernel import neural_move as c  # noqa: F401
        from sensewell.kernel import neural_pool as d  # noqa: F401
    module, name = name.split(".")
    module = "sensewell.%s.%s" % (package, module)
    return getattr(__import__(module, None, None, (name,)), name)


def maker(code):
    """The function that makes a step of operator `code`."""
    found = None
    for word in _MAKERS.split():
        if "." in word:
            found = word
        elif int(word) == code:
            return load("build", found)
    raise Flaw("op")


def make(buffer, address):
    """-> (buffers, steps, states, inputs, outputs, work, numbers of operators, bytes of words), as Net keeps them."""
    g = Graph(buffer)
    try:
        g.open(address)
        steps, lives = proven(g)
        n_bytes = lives.plan()
        ports = [port(g, t) for t in lives.ports]
        codes = bytes([step.code for step in steps])
        bases = [buffer, memory(n_bytes + 4)] + [None] * len(ports)
        made, n_bytes = finished(steps, lives, bases)
    except Flaw as flaw:
        where = "operator %d, %s" % (g.op, op_name(g.code)) if g.op >= 0 else ""
        raise Refused("neural." + flaw.args[0], where)
    except MemoryError:
        raise Refused("neural.memory", "its plan is not free")
    states = [(lives.place(tensor)[1], n_bytes, value) for tensor, n_bytes, value in lives.states]
    n = len(g.net_inputs)
    return bases, made, states, tuple(ports[:n]), tuple(ports[n:]), g.work, codes, n_bytes


def proven(g):
    """Steps and lives of graph g: first every operator for itself, then their order."""
    g.look()
    steps = []
    for k in range(g.n_ops):
        g.at(k)
        step = maker(g.code)(g)
        step.code = g.code
        steps.append(step)
    g.op = -1
    lives = Lives(g)
    for k in range(g.n_ops):
        step = steps[k]
        g.at(k)
        for index in g.inputs:
            lives.read(index)
        for index in g.outputs:
            lives.write(index)
        if step.shares:
            lives.share(*step.shares)
        step.life = lives.scratch(step.scratch) if step.scratch else None
    g.op = -1
    for index in g.net_outputs:
        g.need(lives.all[index].first is not None, "order")
    lives.given()
    return steps, lives


def finished(steps, lives, bases):
    """((kernel, words), ...) with all places known, and the bytes of all words."""
    made = []
    n_bytes = 0
    for step in steps:
        for at, tensor in step.tensors:
            step.words[at : at + 2] = lives.place(tensor)
        if step.life:
            step.words[step.scratch_at] = step.life.offset
        words = step.packed()
        step.words = step.tail = None
        if step.shares and words[0] == words[5] and words[1] == words[6]:
            continue  # it is there already
        if step.prepares:
            load("kernel", step.kernel.split(".")[0] + ".prepare")(bases, words)
        n_bytes += 4 * len(words)
        made.append((load("kernel", step.kernel), words))
    return tuple(made), n_bytes


def port(g, t):
    """Port for tensor t."""
    f = g.file
    at, length = f.vector(f.follow(g.tensors + 4 * t.index), 3, 1)
    letters = bytes(f.p[at : at + min(length, 99)])
    name = "".join([chr(letter) if 32 <= letter < 127 else "?" for letter in letters])
    scale = struct.unpack("<f", struct.pack("<I", t.scale))[0]
    return Port(name, tuple(t.dims), DTYPES[t.type], scale, t.zero)
