"""Nets in Keras: built from plain numbers, fitted the same way every time, and built again for the converter.

The only file that knows Keras' layers. Knows tensors, and nothing of recordings, recipes' files or int8.
"""

from __future__ import annotations

import importlib
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensewell_host.errors import SensewellError
from sensewell_host.quiet import quiet

Floats = NDArray[np.float32]
Weights = list[NDArray[Any]]
HELP = "training and converting networks needs TensorFlow: `make neural`"


@cache
def tensorflow() -> Any:
    """TensorFlow with Keras 3, deterministic and quiet; SensewellError where it is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its sums depend on the machine
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    try:
        with quiet():  # its C++ prints before it knows its log level
            tf: Any = importlib.import_module("tensorflow")
            importlib.import_module("keras")
    except ImportError as error:
        raise SensewellError(f"{HELP}; Python says: {error}") from error
    tf.config.experimental.enable_op_determinism()
    tf.get_logger().setLevel("ERROR")  # each net is traced anew, and it warns of that
    return tf


def shape_of(layers: Mapping[str, Any], length: int, width: int) -> tuple[int, ...]:
    """The shape of a net's input without the batch; length: samples, 0 for features."""
    if layers["kind"] == "cnn":
        return (length, 1, width)
    if layers["kind"] in ("lstm", "gru"):
        return (length, width)
    return (max(length, 1) * width,)


def build(
    layers: Mapping[str, Any], length: int, width: int, n_out: int, answer: str, board: bool = False, seed: int = 0
) -> Any:
    """A Keras model. length, width: of its input (length 0: features); n_out: numbers it answers with.

    answer: "logits", "softmax" or "numbers". board: as the converter needs it, a batch of one and operators that small
    engines have; it has the same weights in the same order. Layers have names that the .tflite file keeps.
    """
    tensorflow()
    import keras
    from keras import layers as kl

    keras.utils.set_random_seed(seed)
    first = kl.Input(shape_of(layers, length, width), batch_size=1 if board else None, name="input")
    h: Any = first
    kind = layers["kind"]
    if kind == "cnn":
        h = _convolutions(kl, h, layers)
    elif kind == "lstm":
        h = _fused_lstm(layers["units"])(h) if board else kl.LSTM(layers["units"], name="lstm")(h)
    elif kind == "gru":
        h = kl.GRU(layers["units"], reset_after=True, unroll=board, name="gru")(h)
    for number, size in enumerate(layers.get("hidden") or layers.get("dense") or []):
        h = kl.Dense(size, activation="relu", name=f"dense{number + 1}")(h)
        if kind != "autoencoder" and layers["dropout"]:
            h = kl.Dropout(layers["dropout"], name=f"dropout{number + 1}")(h)
    if layers["dropout"] and not layers.get("hidden") and not layers.get("dense"):
        h = kl.Dropout(layers["dropout"], name="dropout")(h)
    h = kl.Dense(n_out, name="answer")(h)
    more = []
    if layers.get("linear"):
        flat = first if len(first.shape) == 2 else kl.Flatten(name="flat")(first)
        more.append(kl.Dense(n_out, use_bias=False, kernel_initializer="zeros", name="linear")(flat))
    if layers.get("residual"):
        more.append(_Last(layers["target"], width, name="last")(first))
    for one in more:
        h = kl.Add(name=f"with_{one.name.split('/')[0]}")([h, one])
    if answer == "softmax":
        h = kl.Softmax(name="softmax")(h)
    return keras.Model(first, h)


def _convolutions(kl: Any, h: Any, layers: Mapping[str, Any]) -> Any:
    """Convolutions over time as (time, 1, channels): that needs no reshaping between them."""
    for number, filters in enumerate(layers["filters"], 1):
        kernel, stride = (layers["kernel"], 1), layers["stride"]
        by_pool = stride == 1 or (layers["separable"] and number > 1)
        if layers["separable"] and number > 1:
            h = kl.DepthwiseConv2D(kernel, padding="same", use_bias=False, name=f"depthwise{number}")(h)
            h = kl.Conv2D(filters, 1, use_bias=False, name=f"conv{number}")(h)
        else:
            h = kl.Conv2D(filters, kernel, (stride, 1), padding="same", use_bias=False, name=f"conv{number}")(h)
        h = kl.BatchNormalization(name=f"norm{number}")(h)
        h = kl.ReLU(name=f"relu{number}")(h)
        if by_pool and h.shape[1] >= 2:
            h = kl.MaxPooling2D((max(stride, 2), 1), name=f"pool{number}")(h)
    pooled = []
    if layers["pool"] in ("mean", "both"):
        pooled.append(kl.Flatten(name="flat_mean")(kl.AveragePooling2D((h.shape[1], 1), name="mean")(h)))
    if layers["pool"] in ("max", "both"):
        pooled.append(kl.Flatten(name="flat_max")(kl.MaxPooling2D((h.shape[1], 1), name="max")(h)))
    if not pooled:
        return kl.Flatten(name="flat")(h)
    return kl.Concatenate(name="both")(pooled) if len(pooled) > 1 else pooled[0]


def _Last(channel: int, width: int, name: str) -> Any:
    """The last sample of one of `width` channels, as (batch, 1): what a forecast may start from."""
    import keras

    class Last(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            if len(x.shape) == 2:  # flat, as dense nets read it
                at = x.shape[1] - width + channel
                return x[:, at : at + 1]
            return x[:, -1, 0, channel : channel + 1] if len(x.shape) == 4 else x[:, -1, channel : channel + 1]

    return Last(name=name)


def _fused_lstm(units: int) -> Any:
    """An LSTM layer with the weights of keras.layers.LSTM that the converter makes one operator of.

    The converter knows an LSTM by attributes of the function that computes it, which Keras 3 does not set. It replaces
    the whole function, so what is in it must only have the right shapes: here it is computed all the same.
    """
    import keras

    tf = tensorflow()

    class FusedLSTM(keras.layers.Layer):
        def build(self, shape: Sequence[int]) -> None:
            self.kernel = self.add_weight(shape=(shape[-1], 4 * units), name="kernel")
            self.recurrent = self.add_weight(shape=(units, 4 * units), name="recurrent")
            self.bias = self.add_weight(shape=(4 * units,), name="bias")

        def call(self, x: Any) -> Any:
            def lstm(inputs: Any, h: Any, c: Any, kernel: Any, recurrent: Any, bias: Any) -> Any:
                answers = []
                for t in range(inputs.shape[1]):
                    z = tf.matmul(inputs[:, t], kernel) + tf.matmul(h, recurrent) + bias
                    i, f, g, o = tf.split(z, 4, axis=1)
                    c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
                    h = tf.sigmoid(o) * tf.tanh(c)
                    answers.append(h)
                return h, tf.stack(answers, 1), h, c, tf.constant(1.0)

            known = {
                "api_implements": f"lstm_{uuid.uuid4()}",
                "api_preferred_device": "CPU",
                "time_major": False,
                "go_backwards": False,
            }
            function = tf.function(lstm, autograph=False, experimental_attributes=known)
            zeros = tf.zeros((x.shape[0], units))
            weights = [tf.convert_to_tensor(one) for one in (self.kernel, self.recurrent, self.bias)]
            return function(x, zeros, zeros, *weights)[0]

    return FusedLSTM(name="lstm")


def fit(
    model: Any,
    how: Mapping[str, Any],
    output: str,
    x: Floats,
    y: NDArray[Any],
    seed: int,
    told: Callable[[float], None] | None = None,
) -> None:
    """Fit `model` in place. output: "classes" (y: class numbers; the model gives logits), "anomaly" (y is not used) or
    "value" (y float32 (n, 1)). The same input gives the same weights on the same machine. told: share done, 0..1."""
    import keras

    steps = -(-len(x) // how["batch"]) * how["epochs"]
    rate = keras.optimizers.schedules.CosineDecay(how["learning_rate"], steps)
    loss: Any = "mse" if how["loss"] == "squared" else "mae"
    weights = None
    if output == "classes":
        n = model.output_shape[-1]
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=how["label_smoothing"])
        if how["balanced"]:
            weights = (len(y) / n / np.maximum(np.bincount(y, minlength=n), 1))[y].astype(np.float32)
        y = np.eye(n, dtype=np.float32)[y]
    elif output == "anomaly":
        y = x.reshape(len(x), -1)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=how["weight_decay"]), loss)
    keras.utils.set_random_seed(seed)

    def epoch_done(epoch: int, _: Any) -> None:
        if told:
            told((epoch + 1) / how["epochs"])

    tell = keras.callbacks.LambdaCallback(on_epoch_end=epoch_done)
    model.fit(x, y, batch_size=how["batch"], epochs=how["epochs"], verbose=0, sample_weight=weights, callbacks=[tell])


def answers(model: Any, x: Floats) -> Floats:
    """What the float net answers, (n, n_out)."""
    found: Floats = np.asarray(model.predict(x, batch_size=512, verbose=0), np.float32)
    return found.reshape(len(x), -1)


def softmax(logits: Floats) -> Floats:
    e = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True), np.float32)
