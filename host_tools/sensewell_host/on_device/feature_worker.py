"""Runs recordings through the device's own pipeline and writes down the feature vector of every window.

Runs on MicroPython (unix port) and on CPython, started by device_run.py with the path of a job file:
    {"manifest": as for a bundle, "source": file of int16 rows, "out": file, "jobs": [{"number", "first", "rows"}],
     "raw": true or false, "calibrations": null, or one a segment: a list of a dict a channel (condition.py)}
A job: segments number, number + 1 ... of rows[0], rows[1] ... rows, the first at row `first` of the source; the
pipeline starts anew with each. A record of `out`, little-endian: uint32 segment, uint32 rows of the segment up to the
window's end, int16 quality %, int16 each feature; raw: then the window, channel by channel. It prints `P n` (segments
done so far), at the end `E {...}` (what the guard said).
"""

import json
import struct
import sys
from array import array

from sensewell.pipeline import Pipeline
from sensewell.reasons import REASONS
from sensewell.sensor.replay import Replay


class _Bundle:
    # A manifest without a model: all the way from sample to features, and nothing after it
    def __init__(self, manifest):
        self.manifest = manifest
        self.sections = {}


def run(job):
    manifest = job["manifest"]
    n = len(manifest["channels"])
    bundle = _Bundle(manifest)
    pipeline = Pipeline(bundle)
    calibrations = job.get("calibrations")
    bad = 0
    reasons = [0] * len(REASONS)
    row = array("h", bytes(2 * n))
    channel = array("h", bytes(2 * pipeline.length)) if job.get("raw") else None
    out = open(job["out"], "wb")  # noqa: SIM115
    source = open(job["source"], "rb")  # noqa: SIM115
    done = samples = 0
    for task in job["jobs"]:
        source.seek(task["first"] * 2 * n)
        number = task["number"]
        for rows in task["rows"]:
            if calibrations:
                bad += _account(pipeline, reasons)
                pipeline = Pipeline(bundle, calibrations[number])
            pipeline.reset()
            replay = Replay(source.read(rows * 2 * n), n, pipeline.period_ms)
            at = 0
            while True:
                t_ms = replay.read(row)
                if t_ms < 0:
                    break
                at += 1
                before = pipeline.windows
                pipeline.feed(row, t_ms)
                if pipeline.windows != before:
                    out.write(struct.pack("<IIh", number, at, pipeline.window.quality_pct))
                    out.write(bytes(pipeline.vector))
                    if channel:
                        for c in range(n):
                            pipeline.window.read(c, channel)
                            out.write(bytes(channel))
            samples += at
            number += 1
            done += 1
            if done % 16 == 0:
                print("P", done)
    out.close()
    source.close()
    bad += _account(pipeline, reasons)
    print("E", json.dumps({"samples": samples, "bad": bad, "reasons": dict(zip(REASONS, reasons))}))  # noqa: B905


def _account(pipeline, reasons):
    # Samples refused; `reasons` are added to
    for i in range(len(reasons)):
        reasons[i] += pipeline.guard.counters[i]
    return pipeline.bad


with open(sys.argv[1]) as _file:
    _job = json.load(_file)
run(_job)
