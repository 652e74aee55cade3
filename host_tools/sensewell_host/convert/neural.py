"""From a trained net to model.bin, the int8 .tflite file itself: converted, judged again, checked and proven.

The nets of the folds are converted too: what int8 costs is measured on groups that a net has not seen. Reads what
train/neural.py left; knows no Keras and no boards.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.convert import keras_child, neural_take
from sensewell_host.convert.keras_child import FloatNet
from sensewell_host.convert.net_check import Needs, check
from sensewell_host.convert.net_engine import open_net, ours, reference
from sensewell_host.errors import SensewellError
from sensewell_host.train import gate
from sensewell_host.train.gate import Judged
from sensewell_host.train.net_recipe import INT8_LOSS

REPRESENTATIVE = 300  # training windows that set the ranges
REAL, RANDOM = 1500, 1000  # windows and random tensors that the two engines are compared on
Int8 = NDArray[np.int8]


@dataclass(frozen=True)
class NetParity:
    """Our engine and TensorFlow Lite Micro on the same inputs: `differ` bytes of all outputs are not the same (0, or
    conversion is refused); `distinct` outputs were seen, so a net that always says the same proves nothing."""

    inputs: int
    real: int
    random: int
    differ: int
    distinct: int
    reference: str = "TensorFlow Lite Micro"


@dataclass(frozen=True)
class ConvertedNet:
    """blob: the .tflite file; model: the manifest's entry; left_out, test: points before and after conversion."""

    blob: bytes
    model: dict[str, Any]
    needs: Needs
    parity: NetParity
    left_out: dict[str, Any]
    test: dict[str, Any]
    train_lost: float
    sha256: str

    @property
    def bytes(self) -> int:
        return len(self.blob)

    @property
    def said(self) -> str:
        """For the command line."""
        parity = self.parity
        return (
            f"model.bin: {self.bytes:,} bytes, {self.needs.arena_bytes:,} bytes of RAM, {self.needs.macs:,} steps of "
            f"work; int8 costs {self.left_out['lost']:.2f} points on groups left out; {parity.inputs:,} inputs "
            f"compared with {parity.reference}: {parity.differ} bytes differ, {parity.distinct:,} distinct answers"
        )


@dataclass(frozen=True)
class Trained:
    """What training left in build/models/NAME."""

    about: dict[str, Any]
    figures: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    weights: list[list[NDArray[Any]]]  # of the folds' nets, then the final one


def load(folder: Path) -> Trained:
    """Read net/, inputs.npz and train.json; SensewellError where the net is not trained yet."""
    try:
        about = json.loads((folder / "net" / "net.json").read_text())
        figures = json.loads((folder / "train.json").read_text())
        with np.load(folder / "inputs.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        weights = []
        for k in range(len(about["scales"])):
            with np.load(folder / "net" / f"{k}.npz", allow_pickle=False) as file:
                weights.append([file[f"arr_{i}"] for i in range(len(file.files))])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise SensewellError(f"the net in {folder} cannot be read ({error}): run `sensewell train` again") from error
    return Trained(about, figures, arrays, weights)


def convert_net(folder: Path, program: Sequence[str] = keras_child.PROGRAM) -> ConvertedNet:
    """Convert, judge, check and prove what `sensewell train` left in `folder`; SensewellError says what was refused."""
    trained = load(folder)
    about, arrays = trained.about, trained.arrays
    folds = [np.isin(arrays["groups_train"], fold) for fold in about["folds"]]
    everything = np.ones(len(arrays["X_train"]), bool)
    nets = []
    for k, weights in enumerate(trained.weights):
        last = k == len(folds)
        learned = everything if last else ~folds[k]
        name = "final" if last else f"without {' '.join(about['folds'][k])}"
        nets.append(_float_net(name, trained, about["scales"][k], weights, learned))
    files = keras_child.convert(nets, program)
    targets = trained.figures.get("targets", {})
    net, needs = check(files[-1], targets)
    halves = [Int8Net(data, open_net(data), about, about["scales"][k]) for k, data in enumerate(files)]
    final = halves[-1]

    allowed = targets.get("int8_loss", INT8_LOSS)
    limit = about["limit_mse"]
    found = np.zeros(len(everything))
    answers = np.zeros(arrays["left_out"].shape, np.float32)
    if about["output"] == "anomaly":
        for rows, half in zip(folds, halves, strict=False):
            found[rows] = half.errors(arrays["X_train"][rows])
        normal = arrays["y_train"] == 0
        limit = float(np.quantile(found[normal], about["limit_quantile"])) * about["margin"]
    else:
        for rows, half in zip(folds, halves, strict=False):
            answers[rows] = half.answers(arrays["X_train"][rows])
    left_out = _both(trained, "train", arrays["left_out"], answers, found, limit, folds)
    lost = gate.refuse_loss(*left_out, allowed, "on groups left out of training")
    train_pair = _final(trained, final, "train", limit)
    train_lost = gate.refuse_loss(*train_pair, allowed, "on the training groups")
    test = _final(trained, final, "test", limit)

    model = _entry(trained, final, limit)
    parity = prove(files[-1], net, _inputs(trained, final))
    return ConvertedNet(
        files[-1], model, needs, parity, _compared(left_out, lost), _compared(test, test[0].points - test[1].points),
        round(train_lost, 3), hashlib.sha256(files[-1]).hexdigest(),
    )  # fmt: skip


class Int8Net:
    """A converted net, and what its numbers mean. `take`: of the manifest."""

    def __init__(self, data: bytes, net: Any, about: Mapping[str, Any], scale: Mapping[str, Any]) -> None:
        self.data, self.net, self.about, self.scale = data, net, about, scale
        self.port, self.out = net.inputs[0], net.outputs[0]
        take = neural_take.quantiser(scale["mean"], scale["std"], self.port.scale, self.port.zero_point)
        self.take: dict[str, list[int]] = take

    def quantised(self, counts: NDArray[np.int16]) -> Int8:
        """The net's input for counts (n, ...), (n, n_in): exactly what a board makes of them."""
        q = neural_take.quantised(self.take, counts, self.port.zero_point)
        return q.reshape(len(q), -1)

    def answers(self, counts: NDArray[np.int16]) -> NDArray[np.float32]:
        """Shares of classes, or forecasts in the net's unit."""
        q = ours(self.net, self.quantised(counts)).astype(np.float32)
        return np.asarray((q - self.out.zero_point) * self.out.scale, np.float32)

    def values(self, counts: NDArray[np.int16]) -> NDArray[np.int16]:
        """Forecasts in counts, as a board says them."""
        q = ours(self.net, self.quantised(counts))
        return neural_take.given(self.give(), q[:, -1], self.out.zero_point)

    def give(self) -> dict[str, int]:
        mean, std = self.scale["target"]
        return neural_take.giver(mean, std, self.out.scale)

    def error(self, limit_mse: float) -> dict[str, int]:
        return neural_take.error_gains(self.port.scale, self.out.scale, limit_mse)

    def errors(self, counts: NDArray[np.int16]) -> NDArray[np.float64]:
        """Mean square errors in the net's units, from the integers that a board has."""
        q = self.quantised(counts)
        gains = self.error(max(self.about["limit_mse"], self.port.scale**2))
        found = neural_take.error_q8(gains, q, ours(self.net, q), self.port.zero_point, self.out.zero_point)
        return np.asarray(found / 256 * self.port.scale**2)


def _float_net(
    name: str, trained: Trained, scale: Mapping[str, Any], weights: list[NDArray[Any]], rows: NDArray[np.bool_]
) -> FloatNet:
    about, arrays = trained.about, trained.arrays
    learned = np.flatnonzero(rows & (arrays["y_train"] == 0) if about["output"] == "anomaly" else rows)
    picked = learned[np.unique(np.linspace(0, len(learned) - 1, REPRESENTATIVE).astype(int))]
    inputs = scaled(scale, arrays["X_train"][picked])
    if about["output"] == "anomaly":  # what is strange lies outside of what was learned: int8 must reach the clip too
        ends = np.full((2, *inputs.shape[1:]), scale["clip"], np.float32)
        ends[1] *= -1
        inputs = np.concatenate([inputs, ends])
    return FloatNet(
        name, about["layers"], about["length"], about["width"], about["n_out"], about["answer"], weights, inputs
    )


def scaled(scale: Mapping[str, Any], counts: NDArray[np.int16]) -> NDArray[np.float32]:
    """Counts as the float net reads them."""
    std = np.asarray(scale["std"], np.float32)
    z = (counts.astype(np.float32) - np.asarray(scale["mean"], np.float32)) / np.where(std > 0, std, np.inf)
    return np.clip(z, -scale["clip"], scale["clip"]).astype(np.float32)


def _judge(
    trained: Trained, side: str, answers: NDArray[Any], error: NDArray[Any], limit: float, energy: float
) -> Judged:
    arrays, about = trained.arrays, trained.about
    truth, groups = arrays[f"y_{side}"], arrays[f"groups_{side}"]
    if about["output"] == "classes":
        return gate.judge_classes(truth, answers.argmax(1), groups, len(trained.figures["labels"]))
    if about["output"] == "anomaly":
        return gate.judge_anomaly(truth > 0, error, groups, limit, energy)
    return gate.judge_value(truth.astype(float), answers, arrays[f"stays_{side}"].astype(float), groups)


def _both(
    trained: Trained,
    side: str,
    before: NDArray[Any],
    after: NDArray[Any],
    error: NDArray[Any],
    limit: float,
    folds: Sequence[NDArray[np.bool_]],
) -> tuple[Judged, Judged]:
    """Left-out answers judged in floats and in int8."""
    about, arrays = trained.about, trained.arrays
    if about["output"] == "classes":
        return _judge(trained, side, before, error, 0, 1), _judge(trained, side, after, error, 0, 1)
    counts = [np.zeros(len(before)), np.zeros(len(before))]
    energy, floats = 1.0, np.zeros(len(before))
    z = np.zeros((len(before), before.shape[1]), np.float32) if about["output"] == "anomaly" else None
    for rows, scale in zip(folds, about["scales"], strict=False):
        mean, std = scale["target"]
        for one, answers in zip(counts, (before, after), strict=True):
            one[rows] = answers[rows, -1] * std + mean
        if z is not None:
            z[rows] = scaled(scale, arrays["X_train"][rows]).reshape(int(rows.sum()), -1)
    if z is not None:
        floats, energy = ((z - before) ** 2).mean(1), float((z**2).mean()) or 1.0
    return (
        _judge(trained, side, counts[0], floats, about["limit_mse"], energy),
        _judge(trained, side, counts[1], error, limit, energy),
    )


def _final(trained: Trained, final: Int8Net, side: str, limit: float) -> tuple[Judged, Judged]:
    """The final net judged on a side, in floats and in int8."""
    about, arrays = trained.about, trained.arrays
    X, before = arrays[f"X_{side}"], arrays[f"final_{side}"]
    none = np.zeros(len(X))
    if about["output"] == "classes":
        pair = (before, final.answers(X))
        return _judge(trained, side, pair[0], none, 0, 1), _judge(trained, side, pair[1], none, 0, 1)
    if about["output"] == "value":
        mean, std = final.scale["target"]
        values = before[:, -1] * std + mean, final.values(X).astype(float)
        return _judge(trained, side, values[0], none, 0, 1), _judge(trained, side, values[1], none, 0, 1)
    z = scaled(final.scale, X).reshape(len(X), -1)
    energy = float((z**2).mean()) or 1.0
    return (
        _judge(trained, side, none, ((z - before) ** 2).mean(1), about["limit_mse"], energy),
        _judge(trained, side, none, final.errors(X), limit, energy),
    )


def _entry(trained: Trained, final: Int8Net, limit: float) -> dict[str, Any]:
    """`model` of the manifest."""
    about = trained.about
    inputs = len(about["of"])
    take: dict[str, Any] = dict(final.take)
    if about["of"] != list(range(inputs)) or about["all_inputs"] != inputs:
        take["of"] = about["of"]
    entry = {
        "family": "neural",
        "section": "model",
        "input": about["input"],
        "output": about["output"],
        "take": take,
        "n_classes": len(trained.figures["labels"]),
    }
    if about["output"] == "anomaly":
        entry["error"] = final.error(limit)
    elif about["output"] == "value":
        of = {"channel": about["target"], "ahead": about["ahead"]}
        entry |= {"give": final.give(), "edges_raw": about["edges_raw"], "forecast": of}
    return entry


def _inputs(trained: Trained, final: Int8Net) -> tuple[Int8, Int8]:
    """Real windows of both sides, and random tensors: full range, and narrow bands."""
    X = np.concatenate([trained.arrays["X_train"], trained.arrays["X_test"]])
    picked = np.unique(np.linspace(0, len(X) - 1, REAL).astype(int))
    rng = np.random.default_rng(1)
    noise = rng.integers(-128, 128, (RANDOM, final.port.n))
    middle = rng.integers(-128, 128, (RANDOM, 1))
    noise[1::2] = np.clip(middle[1::2] + noise[1::2] // 8, -128, 127)
    return final.quantised(X[picked]), noise.astype(np.int8)


def prove(data: bytes, net: Any, inputs: tuple[Int8, Int8]) -> NetParity:
    """SensewellError unless our engine and TensorFlow Lite Micro say the same on every input, to the byte."""
    real, noise = inputs
    q = np.concatenate(inputs)
    mine, theirs = ours(net, q), reference(data, q)
    differ = int((mine.view(np.uint8) != theirs.astype(mine.dtype).view(np.uint8)).sum())
    distinct = len({row.tobytes() for row in mine})
    if differ:
        wrong = int((mine != theirs).any(1).sum())
        raise SensewellError(
            f"our engine and TensorFlow Lite Micro differ on {wrong} of {len(q)} inputs ({differ} bytes): that is a "
            "defect of Sensewell; please report it with this model.bin"
        )
    if distinct < 2:
        raise SensewellError(f"the network gives one and the same answer to {len(q)} inputs: it has learned nothing")
    return NetParity(len(q), len(real), len(noise), differ, distinct)


def _compared(pair: tuple[Judged, Judged], lost: float) -> dict[str, Any]:
    return {"float": pair[0].as_dict(), "int8": pair[1].as_dict(), "lost": round(lost, 3)}


def as_dict(converted: ConvertedNet) -> dict[str, Any]:
    """convert.json"""
    said = {key: value for key, value in asdict(converted).items() if key != "blob"}
    return {"family": "neural", "bytes": converted.bytes, **said}
