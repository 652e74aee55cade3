"""The bundle: one file with all that makes a pipeline. Open it, verify every byte, prove its model; or refuse by name.

Knows the container and the manifest's structure; what the settings of a station mean, the station says.

The container, little-endian (host_tools/sensewell_host/pack.py writes it):

| at | bytes | what                                                                      | else refused as             |
|----|-------|---------------------------------------------------------------------------|-----------------------------|
|  0 |   4   | magic, b"SWB1"                                                            | bundle.magic                |
|  4 |   2   | format version, 1                                                         | bundle.version              |
|  6 |   2   | bytes of this header, 56                                                  | bundle.header               |
|  8 |   4   | bytes of the manifest, 2..16384                                           | bundle.manifest             |
| 12 |   4   | bytes of the file                                                         | bundle.truncated, .extended |
| 16 |   4   | bytes of the signature; 0 in this format version                          | bundle.signature            |
| 20 |  32   | SHA-256 of the manifest                                                   | bundle.hash.manifest        |
| 52 |   4   | reserved, zero                                                            | bundle.reserved             |
| 56 |       | manifest: JSON, printable ASCII, no white space, no escapes, keys sorted  | bundle.json, bundle.schema. |
|    |       | zero bytes to a multiple of 8: here the body begins                       | bundle.padding              |
|    |       | sections, each at a multiple of 8 from there, zero bytes between          | bundle.hash.<section>       |

The manifest's `sections` give each section's offset (from the body's begin), bytes and SHA-256. They follow one another
without a gap and the file ends with the last one: no byte is left uncovered.
"""

import gc
import hashlib
import io
import json
import os
import struct
from array import array
from binascii import hexlify

from sensewell import RUNTIME
from sensewell.refusal import Refused

try:
    import micropython
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8

MAGIC = b"SWB1"
VERSION = 1
HEADER = "<4sHHIII32s4s"
HEADER_BYTES = 56
MAX_MANIFEST = 16384


@micropython.viper
def _plain(text_, n: int) -> int:
    # 1 if the text holds nothing that could keep a JSON parser busy: depth <= 8, tokens <= 128, numbers <= 24 bytes
    text = ptr8(text_)
    depth = 0
    quoted = 0
    run = 0
    i = 0
    while i < n:
        c = text[i]
        i += 1
        run += 1
        if c < 0x20 or c > 0x7E or c == 0x5C:
            return 0
        if c == 0x22:
            quoted = 1 - quoted
            run = 0
        elif quoted:
            if run > 128:
                return 0
        elif c == 0x7B or c == 0x5B:
            depth += 1
            run = 0
            if depth > 8:
                return 0
        elif c == 0x7D or c == 0x5D:
            depth -= 1
            run = 0
        elif c == 0x2C or c == 0x3A:
            run = 0
        elif run > 24:
            return 0
        elif c == 0x20 or c == 0x49 or c == 0x4E:  # no white space, no Infinity, no NaN
            return 0
    return 1


# -- the manifest's structure ------------------------------------------------------------------------------------------
_KEYS = (
    ("name", str), ("boards", list), ("min_runtime", list), ("channels", list), ("window", dict), ("features", list),
    ("labels", list), ("model", dict), ("arbiter", dict), ("sections", dict),
    ("guard", dict), ("bad_samples", dict), ("condition", dict), ("derived", list), ("rules", list), ("golden", dict),
)  # fmt: skip
_REQUIRED = 10  # so many of them must be there


def _check(good, part, detail=""):
    if not good:
        raise Refused("bundle.schema." + part, detail)


def _take(entry, part, key, low, high, default=None):
    value = entry.get(key, default)
    if type(value) is not int or not low <= value <= high:  # a bool is no number here
        raise Refused("bundle.schema." + part, "%s: expected %d..%d" % (key, low, high))
    return value


def _list_of(entries, kind, low, high, part):
    _check(type(entries) is list and low <= len(entries) <= high, part, "expected %d..%d entries" % (low, high))
    for entry in entries:
        _check(type(entry) is kind, part)
        if kind is str:
            _check(0 < len(entry) <= 32, part, "a name of 1..32 characters")
    return len(entries)


def check_manifest(m):
    """Raise Refused("bundle.schema.<part>") unless keys, types, ranges and lengths of manifest `m` fit together."""
    _check(type(m) is dict and m.get("sensewell") == 1, "sensewell", "expected 1")
    for place, (key, kind) in enumerate(_KEYS):
        if key in m or place < _REQUIRED:
            _check(type(m.get(key)) is kind, key)
    _list_of([m["name"]], str, 1, 1, "name")
    _take(m, "version", "version", 1, 0x3FFFFFFF)
    _take(m, "rate_hz", "rate_hz", 1, 1000)
    _list_of(m["boards"], str, 1, 32, "boards")
    _list_of(m["min_runtime"], int, 2, 2, "min_runtime")

    n = _list_of(m["channels"], dict, 1, 16, "channels")
    for entry in m["channels"]:
        _list_of([entry.get("name"), entry.get("unit")], str, 2, 2, "channels")
        for key in ("scale", "offset"):
            value = entry.get(key)
            _check(type(value) in (int, float) and -1e30 < value < 1e30, "channels", key)
    guard = m.get("guard", {})
    _check(_list_of(guard.get("channels", []), dict, 0, n, "guard") in (0, n), "guard", "expected %d channels" % n)
    _list_of(guard.get("disagree", []), dict, 0, 16, "guard")
    _take(guard, "guard", "gap_ms", 0, 1 << 28, 0)
    for key, entries in m.get("condition", {}).items():
        _list_of(entries, dict, n, n, "condition")
        _check(key in ("filters", "normalise"), "condition", key)

    window = m["window"]
    _take(window, "window", "length", 2, 256)
    hop = _take(window, "window", "hop", 1, window["length"])
    _take(window, "window", "min_quality_pct", 0, 100)
    bad = m.get("bad_samples", {})
    _check(bad.get("policy", "hold") in ("hold", "skip", "break"), "bad_samples", "policy")
    _take(bad, "bad_samples", "fill_n", 0, hop - 1, 0)
    _list_of(m.get("derived", []), dict, 0, 8, "derived")
    n_features = _list_of(m["features"], dict, 0, 96, "features")
    n_labels = _list_of(m["labels"], str, 1, 64, "labels")

    model = m["model"]
    family = model.get("family")
    if family != "none":
        _check(family == "trees", "model", "family")
        _take(model, "model", "n_classes", 1, n_labels)
        _check(n_features > 0, "features", "none")
    rules = m.get("rules", [])
    _list_of(rules, dict, 0, 16, "rules")
    for rule in rules:
        _list_of([rule.get("name")], str, 1, 1, "rules")
        on = rule.get("on")
        _check(type(on) is dict and len(on) == 1, "rules", "on")
        if "channel" in on:
            _take(on, "rules", "channel", 0, n - 1)
        else:
            _take(on, "rules", "feature", 0, n_features - 1)
        below = rule.get("when") == "below"
        _check(below or rule.get("when") == "above", "rules", "when")
        limit = _take(rule, "rules", "limit", -32768, 32767)
        _take(rule, "rules", "clear", limit if below else -32768, 32767 if below else limit, limit)
        _take(rule, "rules", "dwell_ms", 0, 1 << 28, 0)
        _take(rule, "rules", "clear_dwell_ms", 0, 1 << 28, 0)
        _take(rule, "rules", "priority", 0, 1000, 0)
        _take(rule, "rules", "label", 0, n_labels - 1)
        _check(type(rule.get("interlock", False)) is bool, "rules", "interlock")
        _check(rule.get("on_bad", "hold") in ("hold", "trip"), "rules", "on_bad")

    arbiter = m["arbiter"]
    _take(arbiter, "arbiter", "min_confidence_pct", 0, 100)
    _take(arbiter, "arbiter", "smooth_n", 1, _take(arbiter, "arbiter", "smooth_m", 1, 16))
    _take(arbiter, "arbiter", "hold_ms", 0, 1 << 28)
    _take(arbiter, "arbiter", "return_n", 1, 100)
    _take(arbiter, "arbiter", "deadline_ms", 0, 500000)
    _take(arbiter, "arbiter", "fallback_label", 0, n_labels - 1)

    sections = m["sections"]
    for name, entry in sections.items():
        _list_of([name], str, 1, 1, "sections")
        _check(type(entry) is dict, "sections")
        _take(entry, "sections", "offset", 0, 0xFFFFFF)
        _take(entry, "sections", "bytes", 1, 0xFFFFFF)
        _check(type(entry.get("sha256")) is str and len(entry["sha256"]) == 64, "sections", "sha256")
    golden = m.get("golden")
    if family != "none":
        _check(model.get("section") in sections, "model", "section")
        _check(golden is not None, "golden", "a model needs a proof")
    if golden is not None:
        _check(golden.get("section") in sections and n_features > 0, "golden", "section")
        _take(golden, "golden", "rows", 0 if family == "none" else 1, 0 if family == "none" else 256)
        _take(golden, "golden", "windows", 1, 16)


# -- the container -----------------------------------------------------------------------------------------------------
def _read(stream, n, what="bundle.memory"):
    try:
        data = bytearray(n)
    except MemoryError:
        raise Refused(what, "%d bytes" % n)
    if stream.readinto(data) != n:
        raise Refused("bundle.truncated")
    return data


def _padding(stream, at):
    if any(_read(stream, -at % 8)):
        raise Refused("bundle.padding")
    return at + -at % 8


def _sha256(data):
    return hashlib.sha256(data).digest()


class Bundle:
    """A verified bundle: `name`, `version`, `manifest` (dict), `sections` (name -> bytearray, used in place)."""

    def __init__(self, manifest, sections):
        self.name = manifest["name"]
        self.version = manifest["version"]
        self.manifest = manifest
        self.sections = sections

    @staticmethod
    def open(source, board=None):
        """Read and verify. source: a path, or a buffer with the whole file; board: this board's name, None = any.

        Each byte is read once, into the buffers that are then used, so that what was verified is what runs. Raises
        Refused("bundle....") as in the tables above; `bundle.missing`, `.memory`, `.board`, `.runtime` besides.
        """
        if isinstance(source, str):
            try:
                size = os.stat(source)[6]
                stream = open(source, "rb")
            except OSError as e:
                raise Refused("bundle.missing", source + " " + str(e))
        else:
            size = len(source)
            stream = io.BytesIO(source)
        try:
            return Bundle._verify(stream, size, board)
        except OSError as e:
            raise Refused("bundle.unreadable", str(e))
        finally:
            stream.close()

    @staticmethod
    def _verify(stream, size, board):
        if size < HEADER_BYTES:
            raise Refused("bundle.truncated", "%d bytes" % size)
        fields = struct.unpack(HEADER, _read(stream, HEADER_BYTES))
        magic, version, header_bytes, manifest_bytes, file_bytes, signature_bytes, digest, reserved = fields
        if magic != MAGIC:
            raise Refused("bundle.magic")
        if version != VERSION:
            raise Refused("bundle.version", "expected %d, got %d" % (VERSION, version))
        if header_bytes != HEADER_BYTES:
            raise Refused("bundle.header")
        if any(reserved):
            raise Refused("bundle.reserved")
        if signature_bytes:
            raise Refused("bundle.signature", "not in format version 1")
        if size != file_bytes:
            raise Refused(
                "bundle.truncated" if size < file_bytes else "bundle.extended",
                "%d bytes, the header says %d" % (size, file_bytes),
            )
        if not 2 <= manifest_bytes <= MAX_MANIFEST:
            raise Refused("bundle.manifest", "%d bytes" % manifest_bytes)
        text = _read(stream, manifest_bytes)
        if _sha256(text) != digest:
            raise Refused("bundle.hash.manifest")
        manifest = _parse(text)
        del text
        try:
            check_manifest(manifest)
        except (TypeError, KeyError) as e:
            raise Refused("bundle.schema", str(e))
        if board is not None and "*" not in manifest["boards"] and board not in manifest["boards"]:
            raise Refused("bundle.board", "made for " + ", ".join(manifest["boards"]))
        if RUNTIME < tuple(manifest["min_runtime"]):
            raise Refused("bundle.runtime", "needs %d.%d" % tuple(manifest["min_runtime"]))

        at = _padding(stream, HEADER_BYTES + manifest_bytes)
        body = at
        sections = {}
        for offset, name in sorted([(entry["offset"], name) for name, entry in manifest["sections"].items()]):
            entry = manifest["sections"][name]
            at = _padding(stream, at)
            if offset != at - body:
                raise Refused("bundle.schema.sections", name + ": offset")
            if entry["bytes"] > size - at:
                raise Refused("bundle.schema.sections", name + ": bytes")
            data = _read(stream, entry["bytes"])
            if hexlify(_sha256(data)).decode() != entry["sha256"]:
                raise Refused("bundle.hash." + name)
            at += len(data)
            sections[name] = data
        if at != size or stream.read(1):
            raise Refused("bundle.extended", "%d bytes belong to no section" % (size - at))
        return Bundle(manifest, sections)

    def release(self):
        """Drop what only building and proving need (manifest, golden vectors); call it when the pipeline is proven."""
        self.manifest = None
        self.sections = {}
        gc.collect()

    def prove(self, pipeline):
        """Let `pipeline`, built from this bundle, answer the golden vectors; only then may its model decide.

        The section: features int16[rows][n_features], zeros to a multiple of 4, scores int32[rows][n_outputs], raw
        windows int16[windows][length][n_channels], their features int16[windows][n_features]. Every answer must be
        exactly equal. Raises Refused("golden.scores", "golden.features", "golden.size", or why the model was refused).
        """
        if pipeline.refusal:
            raise Refused(pipeline.refusal)
        try:
            golden = self.manifest.get("golden")
            if golden:
                self._golden(pipeline, self.sections[golden["section"]], golden["rows"], golden["windows"])
        except Refused as e:
            pipeline.refuse(e.reason)
            raise
        finally:
            pipeline.reset()
        pipeline.accept()

    def _golden(self, pipeline, data, rows, windows):
        model = pipeline.model
        features = pipeline.features
        n_features = len(features.vector)
        n_outputs = model.n_outputs if model else 0
        n_channels = pipeline.n_channels
        length = pipeline.length
        scores_at = (rows * n_features * 2 + 3) & ~3
        windows_at = scores_at + rows * n_outputs * 4
        vectors_at = windows_at + windows * length * n_channels * 2
        if len(data) != vectors_at + windows * n_features * 2:
            raise Refused("golden.size", "%d bytes" % len(data))
        vector = array("h", bytes(2 * n_features))
        for row in range(rows):
            for i in range(n_features):
                vector[i] = struct.unpack_from("<h", data, 2 * (row * n_features + i))[0]
            model.predict(vector, pipeline.scores)
            for i in range(n_outputs):
                if struct.unpack_from("<i", data, scores_at + 4 * (row * n_outputs + i))[0] != pipeline.scores[i]:
                    raise Refused("golden.scores", "row %d" % row)
        sample = array("h", bytes(2 * n_channels))
        condition = pipeline.uncalibrated(self.manifest)
        for window in range(windows):
            condition.reset()
            pipeline.window.reset()
            for row in range(length):
                for i in range(n_channels):
                    at = windows_at + 2 * ((window * length + row) * n_channels + i)
                    sample[i] = struct.unpack_from("<h", data, at)[0]
                condition.apply(sample, sample)
                pipeline.window.push(sample, 1)
            features.compute(pipeline.window)
            for i in range(n_features):
                at = vectors_at + 2 * (window * n_features + i)
                if struct.unpack_from("<h", data, at)[0] != features.vector[i]:
                    raise Refused("golden.features", "window %d, feature %d" % (window, i))


def _parse(text):
    if not _plain(text, len(text)):
        raise Refused("bundle.json", "not plain")
    try:
        return json.loads(text)
    except MemoryError:
        raise Refused("bundle.memory", "manifest")
    except (ValueError, TypeError, RuntimeError, OverflowError, KeyError) as e:
        raise Refused("bundle.json", str(e))
