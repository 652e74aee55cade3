"""Runs on a virtual board: what the net in /net costs, with the inputs in /given. Knows no name of a net."""

import gc
from array import array
from binascii import hexlify

import virt
from sensewell.refusal import Refused

SIZES = {"b": 1, "B": 1, "h": 2, "i": 4, "f": 4}


def deep(n):
    return n and deep(n - 1)  # what lay on the stack before is overwritten


def used():
    deep(9)
    gc.collect()
    return gc.mem_alloc()


def buffers(ports):
    return [array(port.dtype, bytes(port.n * SIZES[port.dtype])) for port in ports]


def count(predict, given, said, mark, since):
    """Instructions of a prediction, and bytes of heap it takes. All names are local: look-ups cost."""
    before = gc.mem_alloc()
    mark()
    predict(given, said)
    instructions = since()
    return instructions, gc.mem_alloc() - before


def nothing(given, said):
    pass


def measured(turns, at):
    import os

    before = used()
    from sensewell.model import neural

    size = os.stat("/net")[6]
    if at:
        import uctypes

        model = uctypes.bytearray_at(at, size)
    else:
        model = bytearray(size)
    with open("/net", "rb") as file:
        file.readinto(model)
    net = neural.open(model)
    given, said = buffers(net.inputs), buffers(net.outputs)
    ram = used() - before
    call = count(nothing, given, said, virt.mark, virt.since)[0]
    total = heap = 0
    outputs = b""
    net.predict(given, said)  # what a first call makes, it keeps
    net.reset()
    with open("/given", "rb") as file:
        for _ in range(turns):
            for one in given:
                file.readinto(one)
            gc.collect()
            instructions, moved = count(net.predict, given, said, virt.mark, virt.since)
            total += instructions - call
            heap = max(heap, moved)
            for one in said:
                outputs += bytes(one)
    print("N", net.engine, total // turns, net.arena_bytes, heap, ram, hexlify(outputs).decode())


def cost(turns, at):
    """Prints N engine instructions arena-bytes heap-bytes RAM-bytes outputs, or M where memory does not do.

    at: the address in RAM where the weights lie, 0: in the heap.
    """
    try:
        measured(turns, at)
    except MemoryError:
        print("M")
    except Refused as refused:
        if refused.reason != "neural.memory":
            raise
        print("M")
