"""The bundle: one file with all that makes a pipeline. Open it, verify every byte, prove its model; or refuse by name.

Knows the container; the manifest's structure is build/manifest.py's, what the settings of a station mean the station's,
whether a bundle may run here policy.py's.

The container, little-endian (host_tools/sensewell_host/pack.py writes it):

| at | bytes | what                                                                      | else refused as             |
|----|-------|---------------------------------------------------------------------------|-----------------------------|
|  0 |   4   | magic, b"SWB1"                                                            | bundle.magic                |
|  4 |   2   | format version, 2                                                         | bundle.version              |
|  6 |   2   | bytes of this header, 56                                                  | bundle.header               |
|  8 |   4   | bytes of the manifest, 2..16384                                           | bundle.manifest             |
| 12 |   4   | bytes of the file without its signatures                                  | bundle.truncated, .extended |
| 16 |   4   | bytes of the signatures, a multiple of 8, at most 1024; 0: unsigned       | bundle.signatures           |
| 20 |  32   | SHA-256 of the manifest                                                   | bundle.hash.manifest        |
| 52 |   4   | reserved, zero                                                            | bundle.reserved             |
| 56 |       | manifest: JSON, printable ASCII, no white space, no escapes, keys sorted  | bundle.json, bundle.schema. |
|    |       | zero bytes to a multiple of 8                                             | bundle.padding              |
|    |       | signatures: a block as in signature.py; behind it the body begins         | signature. (see policy.py)  |
|    |       | sections, each at a multiple of 8 from there, zero bytes between          | bundle.hash.<section>       |

What is signed is the SHA-256 of the header, the field at 16 set to 0, and the manifest: one more signature changes
nothing for the others, and the hashes in the manifest bind every section. It is judged before the JSON is read. The
manifest's `sections` give each section's offset (from the body's begin), bytes and SHA-256. They follow one another
without a gap and the file ends with the last one: no byte is left uncovered.
"""

import gc
import hashlib
import io
import json
import os
import struct
from binascii import hexlify

from sensewell.build.manifest import check
from sensewell.refusal import Refused

try:
    import micropython
    from micropython import const
except ImportError:  # CPython: the same source, word by word
    from sensewell._port import micropython, ptr8

    const = micropython.const

_RUNTIME = const((0, 2))  # which this is: what a manifest's `min_runtime` is compared with
_MAGIC = const(b"SWB1")
_VERSION = const(2)
_HEADER = const("<4sHHIII32s4s")
_HEADER_BYTES = const(56)
_MAX_MANIFEST = const(16384)
_MAX_SIGNATURES = const(1024)
_BLOCK = const(512)  # of what is read but not kept
FORMAT = (_MAGIC, _VERSION, _HEADER, _HEADER_BYTES, _MAX_MANIFEST)  # for those who write bundles


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


# -- the container -----------------------------------------------------------------------------------------------------
def _read(stream, n):
    try:
        data = bytearray(n)
    except MemoryError:
        raise Refused("bundle.memory", "it has %d bytes" % n)
    if stream.readinto(data) != n:
        raise Refused("bundle.truncated")
    return data


def _padding(stream, at):
    if any(_read(stream, -at % 8)):
        raise Refused("bundle.padding")
    return at + -at % 8


def _run(source, what, *args):
    # what(stream, its bytes, *args) of a path, or of a buffer with the whole file
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
        return what(stream, size, *args)
    except OSError as e:
        raise Refused("bundle.unreadable", str(e))
    finally:
        stream.close()


def section(stream, name, spec, at):
    """(bytes, read, end) of a section; spec: its entry in the manifest; at: where the body begins.

    read(buffer): the next bytes, as many as the buffer has, hashed as they come; if there are fewer, end() tells.
    end(): reads the rest; Refused("bundle.truncated", "bundle.hash.<name>") unless all is as the manifest says.
    """
    stream.seek(at + spec["offset"])
    left = spec["bytes"]
    state = hashlib.sha256()

    def read(buffer):
        nonlocal left
        left -= stream.readinto(buffer)
        state.update(buffer)

    def end():
        block = memoryview(bytearray(min(left, _BLOCK)))
        while left:
            before = left
            read(block[:left])
            if left == before:
                raise Refused("bundle.truncated")
        if hexlify(state.digest()).decode() != spec["sha256"]:
            raise Refused("bundle.hash." + name)

    return left, read, end


class Bundle:
    """A verified bundle: `name`, `version`, `manifest` (dict), `sections` (name -> bytearray, used in place).

    Of one that was opened, `sections` holds the model alone: the others were verified, and are read anew by read().
    """

    def __init__(self, manifest, sections, source=None, at=0):
        self.name = manifest["name"]
        self.version = manifest["version"]
        self.manifest = manifest
        self.sections = sections
        self.source = source
        self.at = at

    @staticmethod
    def open(source, policy=None):
        """Read and verify. source: a path, or a buffer with the whole file; policy: what this board is and whom it
        believes (policy.py); None: to look into it, not to run it.

        The model is read once, into the buffer that is then used, so that what was verified is what runs. Raises
        Refused("bundle....") as in the table above; `bundle.missing`, `.unreadable`, `.memory`, `.runtime` besides, and
        what the policy says.
        """
        return _run(source, Bundle._verify, source, policy)

    @staticmethod
    def _verify(stream, length, source, policy):
        if length < _HEADER_BYTES:
            raise Refused("bundle.truncated", "it has %d bytes" % length)
        header = _read(stream, _HEADER_BYTES)
        fields = struct.unpack(_HEADER, header)
        magic, version, header_bytes, manifest_bytes, file_bytes, signature_bytes, digest, reserved = fields
        if magic != _MAGIC:
            raise Refused("bundle.magic")
        if version != _VERSION:
            raise Refused("bundle.version", "expected %d, got %d" % (_VERSION, version))
        if header_bytes != _HEADER_BYTES:
            raise Refused("bundle.header")
        if any(reserved):
            raise Refused("bundle.reserved")
        if signature_bytes > _MAX_SIGNATURES or signature_bytes & 7:
            raise Refused("bundle.signatures", "they have %d bytes" % signature_bytes)
        if length - signature_bytes != file_bytes:
            raise Refused(
                "bundle.truncated" if length - signature_bytes < file_bytes else "bundle.extended",
                "%d bytes, the header says %d" % (length, file_bytes + signature_bytes),
            )
        if not 2 <= manifest_bytes <= _MAX_MANIFEST:
            raise Refused("bundle.manifest", "it has %d bytes" % manifest_bytes)
        text = _read(stream, manifest_bytes)
        if hashlib.sha256(text).digest() != digest:
            raise Refused("bundle.hash.manifest")
        at = _padding(stream, _HEADER_BYTES + manifest_bytes)
        signatures = _read(stream, signature_bytes)
        body = at + signature_bytes
        if policy:
            header[16:20] = bytes(4)
            signed = hashlib.sha256(header)
            signed.update(text)
            policy.believes(signed.digest(), signatures)
        if not _plain(text, len(text)):
            raise Refused("bundle.json", "not plain text")
        try:
            manifest = json.loads(text)
        except MemoryError:
            raise Refused("bundle.memory", "manifest")
        except (ValueError, TypeError, RuntimeError, OverflowError, KeyError) as e:
            raise Refused("bundle.json", str(e))
        del text
        try:
            check(manifest)
        except (TypeError, KeyError) as e:
            raise Refused("bundle.schema", str(e))
        if _RUNTIME < tuple(manifest["min_runtime"]):
            raise Refused("bundle.runtime", "needs %d.%d" % tuple(manifest["min_runtime"]))
        if policy:
            policy.takes(manifest)
        at = body
        sections = {}
        for offset, name in sorted([(entry["offset"], name) for name, entry in manifest["sections"].items()]):
            entry = manifest["sections"][name]
            at = _padding(stream, at)
            if offset != at - body:
                raise Refused("bundle.schema.sections", "its offset: section " + name)
            if entry["bytes"] > length - at:
                raise Refused("bundle.schema.sections", "its length: section " + name)
            size, read, end = section(stream, name, entry, body)
            if name == manifest["model"].get("section"):
                try:
                    sections[name] = bytearray(size)
                except MemoryError:
                    raise Refused("bundle.memory", "its model has %d bytes" % size)
                read(sections[name])
            end()
            at += size
        if at != length or stream.read(1):
            raise Refused("bundle.extended", "%d bytes belong to no section" % (length - at))
        return Bundle(manifest, sections, source, body)

    def read(self, name, what, *args):
        """what((bytes, read, end), *args) of the section `name` of what was opened, see section().

        Raises what these do, and as open() does, if the file is not what it was.
        """
        at, spec = self.at, self.manifest["sections"][name]
        _run(self.source, lambda stream, _: what(section(stream, name, spec, at), *args))

    def release(self):
        """Drop what only building and proving need (manifest, golden vectors); call it when the pipeline is proven."""
        self.manifest = self.source = None
        self.sections = {}
        gc.collect()

    def prove(self, pipeline):
        """Let `pipeline`, built from this bundle, answer the golden vectors; only then may its model decide.

        The section: features int16[rows][n_features], zeros to a multiple of 4, scores int32[rows][n_outputs], raw
        windows int16[windows][length][n_channels], their features int16[windows][n_features]; where a model sees
        windows, there are no rows, but at the end zeros to a multiple of 4, and the scores int32[windows][n_outputs].
        Every answer must be exactly equal. Raises Refused("golden.scores", "golden.features", "golden.size", or why the
        model was refused); what read() raises, if the section is not what open() verified.
        """
        from sensewell.build.pipeline import prove

        prove(pipeline, self)
