"""Writes the header a firmware with TensorFlow Lite Micro is built with: operators of its models, arena each needs.

    python -m sensewell_host.convert.tflm_ops MODEL.tflite ... -o sensewell_tflm_ops.h [--esp-nn]

Only operators that some model has are linked. Reads the files with neural_plan's reader; runs nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sensewell_host.convert.neural_plan import NAME, Life, Reader, name_of, place, plan, size_of
from sensewell_host.errors import SensewellError

# number of an operator in the schema, its name there, and the method of MicroMutableOpResolver that adds it
OPS = """
0 ADD Add, 1 AVERAGE_POOL_2D AveragePool2D, 2 CONCATENATION Concatenation, 3 CONV_2D Conv2D,
4 DEPTHWISE_CONV_2D DepthwiseConv2D, 5 DEPTH_TO_SPACE DepthToSpace, 6 DEQUANTIZE Dequantize,
7 EMBEDDING_LOOKUP EmbeddingLookup, 8 FLOOR Floor, 9 FULLY_CONNECTED FullyConnected,
11 L2_NORMALIZATION L2Normalization, 12 L2_POOL_2D L2Pool2D, 14 LOGISTIC Logistic, 17 MAX_POOL_2D MaxPool2D,
18 MUL Mul, 19 RELU Relu, 21 RELU6 Relu6, 22 RESHAPE Reshape, 23 RESIZE_BILINEAR ResizeBilinear, 25 SOFTMAX Softmax,
26 SPACE_TO_DEPTH SpaceToDepth, 27 SVDF Svdf, 28 TANH Tanh, 34 PAD Pad, 36 GATHER Gather,
37 BATCH_TO_SPACE_ND BatchToSpaceNd, 38 SPACE_TO_BATCH_ND SpaceToBatchNd, 39 TRANSPOSE Transpose, 40 MEAN Mean,
41 SUB Sub, 42 DIV Div, 43 SQUEEZE Squeeze, 44 UNIDIRECTIONAL_SEQUENCE_LSTM UnidirectionalSequenceLSTM,
45 STRIDED_SLICE StridedSlice, 47 EXP Exp, 49 SPLIT Split, 50 LOG_SOFTMAX LogSoftmax, 53 CAST Cast, 54 PRELU Prelu,
55 MAXIMUM Maximum, 56 ARG_MAX ArgMax, 57 MINIMUM Minimum, 58 LESS Less, 59 NEG Neg, 60 PADV2 PadV2,
61 GREATER Greater, 62 GREATER_EQUAL GreaterEqual, 63 LESS_EQUAL LessEqual, 65 SLICE Slice, 66 SIN Sin,
67 TRANSPOSE_CONV TransposeConv, 70 EXPAND_DIMS ExpandDims, 71 EQUAL Equal, 72 NOT_EQUAL NotEqual, 73 LOG Log,
74 SUM Sum, 75 SQRT Sqrt, 76 RSQRT Rsqrt, 77 SHAPE Shape, 79 ARG_MIN ArgMin, 82 REDUCE_MAX ReduceMax, 83 PACK Pack,
84 LOGICAL_OR LogicalOr, 86 LOGICAL_AND LogicalAnd, 87 LOGICAL_NOT LogicalNot, 88 UNPACK Unpack,
89 REDUCE_MIN ReduceMin, 90 FLOOR_DIV FloorDiv, 92 SQUARE Square, 93 ZEROS_LIKE ZerosLike, 94 FILL Fill,
95 FLOOR_MOD FloorMod, 97 RESIZE_NEAREST_NEIGHBOR ResizeNearestNeighbor, 98 LEAKY_RELU LeakyRelu,
99 SQUARED_DIFFERENCE SquaredDifference, 100 MIRROR_PAD MirrorPad, 101 ABS Abs, 102 SPLIT_V SplitV, 104 CEIL Ceil,
105 REVERSE_V2 ReverseV2, 106 ADD_N AddN, 107 GATHER_ND GatherNd, 108 COS Cos, 111 ELU Elu, 114 QUANTIZE Quantize,
116 ROUND Round, 117 HARD_SWISH HardSwish, 123 SELECT_V2 SelectV2, 126 BATCH_MATMUL BatchMatMul, 128 CUMSUM CumSum,
130 BROADCAST_TO BroadcastTo, 140 REDUCE_ALL ReduceAll, 145 BROADCAST_ARGS BroadcastArgs,
151 DYNAMIC_UPDATE_SLICE DynamicUpdateSlice
"""
METHODS = {int(line.split()[0]): tuple(line.split()[1:]) for line in OPS.replace("\n", " ").split(",")}

CONVOLUTIONS = (3, 4)
PER_CHANNEL = (*CONVOLUTIONS, 9, 67)
MEAN, SVDF, LSTM = 40, 27, 44

# Bytes of TensorFlow Lite Micro's own records, as a 64-bit machine has them: more than any board's. The board reckons
# Need.least with the same numbers (device/native/tflm/sw_tflm_file.c).
BASE, A_TENSOR, AN_OPERATOR, A_PORT, A_CHANNEL, A_RECURRENT = 1024, 24, 192, 128, 8, 1024
PLANNED = 96  # each tensor and each scratch memory, while memory is being planned: before tensors need theirs


@dataclass(frozen=True)
class Need:
    """What a model asks of a firmware: its operators by number, and bytes of arena, margin included.

    least: what its records alone may take. With less, TensorFlow Lite Micro may crash instead of failing.
    """

    ops: tuple[int, ...]
    arena_bytes: int
    least: int


def need(data: bytes, esp_nn: bool = False) -> Need:
    """Operators and arena of a .tflite file; SensewellError names what TensorFlow Lite Micro or this route lacks.

    esp_nn: with room for the scratch memory of Espressif's convolutions.
    """
    planned = plan(data)
    r = Reader(data)
    root = r.follow(0)
    graph = r.tables(root, 2)[0]
    codes = [max(r.value(code, 0, "b"), r.value(code, 3, "i")) for code in r.tables(root, 1)]
    tensors, ops = r.tables(graph, 0), r.tables(graph, 3)
    found: list[int] = []
    lives: dict[int, Life] = {}
    states = channels = recurrent = 0
    constant = [bool(r.vector(table, 0)[1]) for table in r.tables(root, 4)]
    inputs, outputs = r.numbers(graph, 1), r.numbers(graph, 2)

    def in_arena(number: int) -> bool:
        tensor = tensors[number]
        return not r.value(tensor, 5, "b") and not constant[r.value(tensor, 2, "I")]

    def live(number: int, first: int, last: int) -> None:
        if number >= 0 and in_arena(number):
            life = lives.setdefault(number, Life(number, size_of(r, tensors[number]), first, last))
            life.last = max(life.last, last)

    for number in inputs:
        live(number, 0, 0)
    scratch: list[Life] = []
    for k, op in enumerate(ops):
        code = codes[r.value(op, 0, "I")]
        if code not in METHODS:
            raise SensewellError(
                f"operator {k} is number {code} in the schema, which this route to TensorFlow Lite Micro does not "
                "have; change the network"
            )
        if code not in found:
            found.append(code)
        takes, gives = r.numbers(op, 1), r.numbers(op, 2)
        for number in (*takes, *gives):
            live(number, k, k)
        sizes = [size_of(r, tensors[number]) if number >= 0 else 0 for number in takes]
        pairs = zip(takes, sizes, strict=True)
        own = sum(size for number, size in pairs if number >= 0 and variable(r, tensors[number]))
        states += own
        if code in PER_CHANNEL and len(takes) > 1:
            quantisation = r.field(tensors[takes[1]], 4)
            channels += r.vector(r.follow(quantisation), 2)[1] if quantisation else 0
        recurrent += code in (SVDF, LSTM)
        extra = 0
        if code in (SVDF, LSTM):
            extra = 16 * own
        elif code == MEAN:
            extra = 64 + 4 * sum(size_of(r, tensors[number]) for number in gives)
        elif code in CONVOLUTIONS and esp_nn:
            extra = 64 + 2 * (sizes[0] + sizes[1])
        if extra:
            scratch.append(Life(-1, extra, k, k))
    for number in outputs:
        live(number, len(ops), len(ops))

    # Tensors of the file's own plan stay where it has them; the rest is planned around them: at worst, behind.
    fixed = planned.bytes if has_plan(r, root) else 0
    everything = [*lives.values(), *scratch]
    rest = [life for life in everything if life.number < 0 or not fixed or planned.offsets[life.number] < 0]
    head = fixed + place(sorted(rest, key=lambda life: (-life.size, life.first)))
    planning = PLANNED * (len(tensors) + len(ops))
    records = BASE + A_TENSOR * len(tensors) + AN_OPERATOR * len(ops) + A_PORT * (len(inputs) + len(outputs))
    records += A_CHANNEL * channels + A_RECURRENT * recurrent + 2 * states
    total = records + max(head, planning)
    return Need(tuple(found), -(-(total + total // 16) // 16) * 16, records + planning)


def variable(r: Reader, tensor: int) -> bool:
    return bool(r.value(tensor, 5, "b"))


def has_plan(r: Reader, root: int) -> bool:
    return any(name_of(r, table) == NAME for table in r.tables(root, 6))


def fnv1a(data: bytes) -> int:
    """32 bits that tell models apart, not a proof: FNV-1a."""
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def header(models: Sequence[tuple[str, bytes]], esp_nn: bool = False) -> str:
    """The text of sensewell_tflm_ops.h for models of these names and contents."""
    if not models:
        raise SensewellError("no model: a firmware with TensorFlow Lite Micro is built for at least one .tflite file")
    needs = []
    for name, data in models:
        try:
            needs.append(need(data, esp_nn))
        except SensewellError as error:
            raise SensewellError(f"{name}: {error}") from error
    ops = sorted({code for each in needs for code in each.ops})
    lines = ["/* Made by sensewell_host.convert.tflm_ops from the models of this firmware; not to be edited. */"]
    lines += ["#ifndef SENSEWELL_TFLM_OPS_H", "#define SENSEWELL_TFLM_OPS_H", ""]
    lines += [f"#define SW_TFLM_N_OPS {len(ops)}"]
    lines += ["#define SW_TFLM_ADD_OPS(resolver) (1 \\"]
    lines += [f"    && (resolver).Add{METHODS[code][1]}() == kTfLiteOk \\" for code in ops]
    lines += [")", "", "/* {bytes, FNV-1a, bytes of arena} of each model */"]
    lines += [f"#define SW_TFLM_N_MODELS {len(models)}"]
    lines += ["#define SW_TFLM_MODELS { \\"]
    for (name, data), each in zip(models, needs, strict=True):
        shown = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in Path(name).name)
        lines.append(f"    {{{len(data)}, 0x{fnv1a(data):08X}u, {each.arena_bytes}}}, /* {shown} */ \\")
    lines += ["}", "", "#endif", ""]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tflm_ops", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.tflite")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the header to write")
    parser.add_argument("--esp-nn", action="store_true", help="for ESP32s: room for ESP-NN's scratch memory")
    given = parser.parse_args(arguments)
    try:
        models = [(str(path), path.read_bytes()) for path in given.models]
        text = header(models, given.esp_nn)
    except (OSError, SensewellError) as error:
        print(f"tflm_ops: {error}", file=sys.stderr)
        return 1
    if not given.output.is_file() or given.output.read_text() != text:  # what did not change is not compiled again
        given.output.parent.mkdir(parents=True, exist_ok=True)
        given.output.write_text(text)
    for name, data in models:
        each = need(data, given.esp_nn)
        names = " ".join(METHODS[code][0] for code in each.ops)
        print(f"{Path(name).name}: {each.arena_bytes} bytes of arena; {names}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
