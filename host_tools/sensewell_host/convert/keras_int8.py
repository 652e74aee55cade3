"""Turns trained Keras nets into int8 .tflite files: a program of its own, since TensorFlow's converter can crash.

    python -m sensewell_host.convert.keras_int8 JOB.json     prints a line of JSON for each net when it is written

The job: {"nets": [{"name", "layers", "length", "width", "n_out", "answer", "weights", "inputs", "out", "until"}]}.
weights, inputs: .npz and .npy files; inputs: float32, windows to set the ranges by. until: the name of the layer to
stop at, to find the one that the converter cannot do. Knows nothing of recipes; convert/keras_child.py starts it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sensewell_host.train import keras_nets


def convert(net: Mapping[str, Any]) -> bytes:
    """The int8 .tflite file of a net of the job."""
    tf = keras_nets.tensorflow()
    model = keras_nets.build(net["layers"], net["length"], net["width"], net["n_out"], net["answer"], board=True)
    with np.load(net["weights"], allow_pickle=False) as file:
        model.set_weights([file[f"arr_{k}"] for k in range(len(file.files))])
    if net.get("until"):
        model = tf.keras.Model(model.input, model.get_layer(net["until"]).output)
    inputs = np.load(net["inputs"], allow_pickle=False).astype(np.float32)

    # constants, not variables: the converter's own interpreter, which finds the ranges, has no variables
    constants = [[tf.constant(one) for one in of] for of in (model.trainable_variables, model.non_trainable_variables)]
    signature = tf.TensorSpec(model.input_shape, tf.float32, name="input")
    # an attribute of a module: that way the function keeps the attributes that make one operator of an LSTM
    module = tf.Module()
    module.run = tf.function(
        lambda x: model.stateless_call(*constants, x, training=False)[0], autograph=False, input_signature=[signature]
    )

    def windows() -> Iterator[list[Any]]:
        for window in inputs:
            yield [window.reshape(model.input_shape)]

    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.run.get_concrete_function()], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = windows
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def main() -> int:
    job = json.loads(Path(sys.argv[1]).read_text())
    for net in job["nets"]:
        try:
            Path(net["out"]).write_bytes(convert(net))
        except Exception as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            print(json.dumps({"name": net["name"], "error": f"{type(error).__name__}: {' '.join(lines)[:600]}"}))
            return 1
        print(json.dumps({"name": net["name"], "done": True}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
