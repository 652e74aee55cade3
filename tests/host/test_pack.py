"""pack.py: what it writes the device opens, what the device would refuse it says first; and what mip ships."""

from __future__ import annotations

import json
import struct
import sys
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_bundle
from sensewell.bundle import Bundle
from sensewell.pipeline import Pipeline
from sensewell.refusal import Refused
from sensewell_host import pack
from sensewell_host.errors import SensewellError

DEVICE = Path(__file__).parents[2] / "device"
RNG = np.random.default_rng(4)


def parts(**changes: Any) -> tuple[dict[str, Any], dict[str, bytes]]:
    manifest = tiny_bundle.manifest(**changes)
    model = tiny_bundle.forest(5, 2)
    features = RNG.integers(-3000, 3000, (6, 5))
    windows = RNG.integers(-2000, 2000, (2, 16, 2))
    manifest["golden"], section = pack.golden(manifest, model, features, windows)
    return manifest, {"model": model, "golden": section}


def test_a_packed_bundle_opens_and_proves_itself(tmp_path: Path) -> None:
    manifest, sections = parts()
    data = pack.pack(manifest, sections)
    assert data == pack.pack(manifest, sections)
    bundle = Bundle.open(data)
    pipeline = Pipeline(bundle)
    bundle.prove(pipeline)
    assert bytes(bundle.sections["model"]) == sections["model"]
    path = tmp_path / "tiny.swb"
    path.write_bytes(data)
    seen = pack.inspect(path)
    assert seen["name"] == "tiny" and seen["bytes"] == len(data) and seen["canonical"] is True
    assert seen["sections"] == {name: len(section) for name, section in sections.items()}
    assert seen["manifest"]["golden"] == {"section": "golden", "rows": 6, "windows": 2}


def test_packing_does_not_change_what_it_was_given() -> None:
    manifest, sections = parts()
    before = json.dumps(manifest)
    pack.pack(manifest, sections)
    assert json.dumps(manifest) == before and "sections" not in manifest


def test_sections_are_aligned_and_the_file_ends_with_the_last_one() -> None:
    manifest, sections = parts()
    sections["extra"] = b"12345"
    data = pack.pack(manifest, sections)
    text = data[56 : 56 + struct.unpack_from("<I", data, 8)[0]]
    body = -(-(56 + len(text)) // 8) * 8
    end = body
    for name, entry in sorted(json.loads(text)["sections"].items()):
        assert entry["offset"] % 8 == 0
        assert data[body + entry["offset"] : body + entry["offset"] + entry["bytes"]] == sections[name]
        end = body + entry["offset"] + entry["bytes"]
    assert end == len(data) == struct.unpack_from("<I", data, 12)[0]


def test_numpy_numbers_are_written_as_numbers() -> None:
    manifest, sections = parts()
    manifest["arbiter"]["hold_ms"] = np.int64(400)
    assert pack.pack(manifest, sections)


def test_a_misspelt_key_is_named() -> None:
    for place, key in (("arbiter", "hold"), ("window", "hopp"), ("bad_samples", "fill")):
        manifest, sections = parts()
        manifest[place][key] = 1
        with pytest.raises(SensewellError, match=rf"unknown key {place}\.{key}"):
            pack.pack(manifest, sections)
    manifest, sections = parts()
    manifest["rules"][0]["on_bda"] = "trip"
    with pytest.raises(SensewellError, match=r"unknown key rules\.on_bda"):
        pack.pack(manifest, sections)
    manifest, sections = parts()
    manifest["guard"]["channels"][0]["stuck"] = 3
    with pytest.raises(SensewellError, match=r"unknown key guard\.channels\.stuck"):
        pack.pack(manifest, sections)


def test_what_the_board_would_refuse_is_refused_here_with_its_reason() -> None:
    manifest, sections = parts()
    with pytest.raises(SensewellError, match=r"bundle\.schema\.window"):
        pack.pack({**manifest, "window": {**manifest["window"], "hop": 17}}, sections)
    with pytest.raises(SensewellError, match=r"golden\.scores"):
        golden = bytearray(sections["golden"])
        golden[60] ^= 1
        pack.pack(manifest, {**sections, "golden": bytes(golden)})
    with pytest.raises(SensewellError, match=r"model\.truncated"):
        pack.pack(manifest, {**sections, "model": sections["model"][:-4]})
    with pytest.raises(SensewellError, match=r"bundle\.schema\.golden"):
        pack.pack({key: value for key, value in manifest.items() if key != "golden"}, sections)


def test_text_that_a_board_would_not_read_is_refused() -> None:
    manifest, sections = parts()
    for what in ("Schulterübung", 'a "quoted" word', "back\\slash"):
        with pytest.raises(SensewellError, match="plain ASCII"):
            pack.pack({**manifest, "what": what}, sections)
    with pytest.raises(SensewellError, match="JSON"):
        pack.pack({**manifest, "statistics": {"p50": float("nan")}}, sections)
    with pytest.raises(SensewellError, match="leave something out"):
        pack.pack({**manifest, "statistics": {"p50": list(range(9000))}}, sections)


def test_golden_rows_of_a_wrong_shape_or_range_are_refused() -> None:
    manifest, sections = parts()
    good = np.zeros((2, 5), int), np.zeros((1, 16, 2), int)
    for features, windows in (
        (np.zeros((2, 4), int), good[1]),
        (good[0], np.zeros((1, 15, 2), int)),
        (good[0] + 0.5, good[1]),
        (good[0] + 40000, good[1]),
        (good[0][:0], good[1]),
    ):
        with pytest.raises(SensewellError, match="golden"):
            pack.golden(manifest, sections["model"], features, windows)
    with pytest.raises(SensewellError, match=r"model\.magic"):
        pack.golden(manifest, b"no model at all, certainly", *good)


@pytest.mark.parametrize(("family", "code"), [("linear", "linear"), ("neural", "net")])
def test_bundle_without_its_code(family: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, f"sensewell.model.{code}", None)  # type: ignore[arg-type]  # as if it were not there
    manifest = tiny_bundle.manifest(model={"family": family, "section": "model", "n_classes": 2})
    pipeline = Pipeline(Bundle(manifest, {"model": b"-"}))
    assert pipeline.refusal == "model.absent"
    row = array("h", [0, 0])
    said = [pipeline.feed(row, 20 * t) for t in range(16)][-1]
    assert said.source == "rule" and said.cause == "refused" and said.label == "still"


def test_inspect_names_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.swb"
    with pytest.raises(SensewellError, match="cannot read"):
        pack.inspect(path)
    data = bytearray(pack.pack(*parts()))
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(SensewellError, match=r"bundle\.hash\.model"):
        pack.inspect(path)


def test_every_byte_of_a_packed_bundle_is_covered() -> None:
    data = bytearray(pack.pack(*parts()))
    for at in range(len(data)):
        for flip in (1, 0x80):
            data[at] ^= flip
            with pytest.raises(Refused):
                Bundle.open(data)
            data[at] ^= flip


def test_mutated_bundles_with_right_hashes_never_crash_the_opener() -> None:
    manifest, _ = parts()
    text = bytearray(pack.canonical({**manifest, "sensewell": 1, "sections": {}}))
    signs = b'0123456789{}[]":,.-+eEtrufalsn '
    for _ in range(3000):
        changed = bytearray(text)
        for _ in range(RNG.integers(1, 5)):
            at = int(RNG.integers(len(changed)))
            kind = int(RNG.integers(3))
            if kind == 0:
                changed[at] = signs[int(RNG.integers(len(signs)))]
            elif kind == 1:
                del changed[at : at + int(RNG.integers(1, 30))]
            else:
                changed[at:at] = changed[at // 2 : at // 2 + int(RNG.integers(1, 30))]
        try:
            bundle = Bundle.open(tiny_bundle.seal(bytes(changed)))
            Pipeline(bundle)
        except Refused:
            pass


def test_package_json_and_mip_know_every_file_of_the_package() -> None:
    listed = {target: source for target, source in json.loads((DEVICE / "package.json").read_text())["urls"]}
    files = {path.relative_to(DEVICE).as_posix() for path in (DEVICE / "sensewell").rglob("*.py")}
    assert set(listed) == files - {"sensewell/_port.py", "sensewell/_plain.py"}, (
        "device/package.json must list every file but the stand-ins, which the host brings where they are needed"
    )
    assert all(target == source for target, source in listed.items())
