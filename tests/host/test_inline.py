"""emlearn's inline C as a native module: compiled, run on unix and virt_c3, and equal to scikit-learn's hard vote."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pytest
from sensewell_host import board as boards
from sensewell_host import cli
from sensewell_host.board import virtual
from sensewell_host.convert import emlearn_forms, inline
from sensewell_host.device_path import DEVICE
from sensewell_host.errors import SensewellError
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

Array = npt.NDArray[Any]
Unix = tuple[boards.Board, Path]

# Every row of /rows.i16 through the module; /out.u8 receives class and votes of each. No prediction may allocate.
RUN = """
import forest, micropython
from array import array
def run():
    x = array("h", bytes(2 * forest.n_features))
    votes = array("i", bytes(4 * forest.n_classes))
    with open("/rows.i16", "rb") as rows, open("/out.u8", "wb") as out:
        while rows.readinto(x):
            micropython.heap_lock()
            best = forest.predict(x, votes)
            micropython.heap_unlock()
            out.write(bytes([best] + list(votes)))
run()
print(forest.n_features, forest.n_classes, forest.n_trees)
"""

NOT_WANTED = """
import forest
from array import array
x = array("h", bytes(2 * forest.n_features))
votes = array("i", bytes(4 * forest.n_classes))
for bad in ((x[1:], votes), (x, votes[1:]), (array("H", x), votes), (bytes(x), votes), (x, array("f", votes))):
    try:
        forest.predict(*bad)
    except ValueError as error:
        print(error)
try:
    forest.predict(x, bytes(4 * forest.n_classes))
except TypeError:
    print("TypeError")
"""


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[Unix]:
    if not virtual.is_built("unix"):
        pytest.skip("the unix board is not built: make board-unix")
    need("x64")
    with boards.connect(f"unix:{tmp_path}") as board:
        yield board, tmp_path


def need(arch: str) -> None:
    try:
        inline._native().check(arch)
    except inline._native().boards.BuildError as error:
        pytest.skip(str(error))


def votes_of(model: Any, x: Array) -> Array:
    """(n, n_classes) votes of scikit-learn's own trees."""
    votes = np.zeros((len(x), len(model.classes_)), dtype=int)
    for tree in getattr(model, "estimators_", [model]):
        votes[np.arange(len(x)), tree.predict(x.astype(np.float32)).astype(int)] += 1
    return votes


def run(board: boards.Board, content: bytes, model: Any, x: Array) -> None:
    """All rows of `x` on `board` must get the votes that scikit-learn's trees give."""
    board.put("/forest.mpy", content)
    board.put("/rows.i16", x.astype("<i2").tobytes())
    said = board.exec(RUN, timeout_s=120)
    votes = votes_of(model, x)
    assert said.split() == [str(n) for n in (x.shape[1], votes.shape[1], len(getattr(model, "estimators_", [model])))]
    answers = np.frombuffer(board.get("/out.u8"), np.uint8).reshape(-1, 1 + votes.shape[1])
    assert np.array_equal(answers[:, 0], votes.argmax(axis=1))
    assert np.array_equal(answers[:, 1:], votes)


def test_every_digits_row_on_the_unix_board(
    unix: Unix, digits: tuple[Array, Array], model: RandomForestClassifier
) -> None:
    run(unix[0], inline.module(model, digits[0], "x64"), model, digits[0])


def test_hundreds_of_digits_rows_on_virt_c3(digits: tuple[Array, Array], model: RandomForestClassifier) -> None:
    if not virtual.is_built("virt_c3"):
        pytest.skip("virt_c3 is not built: make board-virt_c3")
    need("rv32imc")
    content = inline.module(model, digits[0], inline.arch_of("virt_c3"))
    with virtual.session("virt_c3") as running, boards.connect(running.address) as board:
        run(board, content, model, digits[0][1200:1600])


def test_thresholds_at_and_beyond_the_ends_of_int16_on_the_unix_board(unix: Unix) -> None:
    values = np.array([-40000, -32768, -32767, -3, -1, 1, 3, 32766, 32767, 40000])[:, None]
    tree = DecisionTreeClassifier(random_state=0).fit(values, np.arange(10))
    rows = np.array([-32768, -32767, -32766, -4, -3, -2, -1, 0, 1, 2, 3, 4, 32765, 32766, 32767])[:, None]
    run(unix[0], inline.module(tree, rows, "x64"), tree, rows)


def test_buffers_of_another_shape_are_refused(
    unix: Unix, digits: tuple[Array, Array], model: RandomForestClassifier
) -> None:
    unix[0].put("/forest.mpy", inline.module(model, digits[0], "x64"))
    features, scores = "features: array('h') of 64 wanted", "scores: array('i') of 10 wanted"
    said = unix[0].exec(NOT_WANTED).splitlines()
    assert said == [features, scores, features, features, scores, "TypeError"]


@pytest.mark.parametrize("arch", ["armv7m", "armv7emsp", "xtensawin"])
def test_other_architectures_compile(arch: str, digits: tuple[Array, Array], model: RandomForestClassifier) -> None:
    need(arch)
    content = inline.module(model, digits[0], arch)
    assert content[:2] == b"M\x06" and 5000 < len(content) < 20000
    assert str(DEVICE.parent).encode() not in content


def test_the_code_computes_in_integers_and_keeps_no_state(
    digits: tuple[Array, Array], model: RandomForestClassifier
) -> None:
    texts = inline.sources(model, digits[0])
    assert set(texts) == {"forest.h", "module.c"}
    for text in texts.values():
        assert "float" not in text and "static const" not in text and "math.h" not in text


def test_a_board_means_its_architecture_and_other_words_are_refused() -> None:
    assert [inline.arch_of(name) for name in ("unix", "virt_c3", "virt_m4", "armv7m")] == [
        "x64", "rv32imc", "armv7emsp", "armv7m"
    ]  # fmt: skip
    with pytest.raises(SensewellError, match=r"neither a board nor an architecture 'z80'.*virt_c3.*rv32imc"):
        inline.arch_of("z80")


def test_a_missing_compiler_or_linker_part_is_named(
    digits: tuple[Array, Array], model: RandomForestClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    which, find_spec = shutil.which, importlib.util.find_spec
    monkeypatch.setattr(shutil, "which", lambda name: None if "riscv" in name else which(name))
    with pytest.raises(SensewellError, match="no riscv64-unknown-elf-gcc on the PATH: on Debian, apt-get install gcc-"):
        inline.module(model, digits[0], "rv32imc")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "elftools" else find_spec(name))
    with pytest.raises(SensewellError, match="pip install pyelftools"):
        inline.module(model, digits[0], "x64")


def test_a_module_that_does_not_compile_shows_the_compilers_words() -> None:
    need("x64")
    with pytest.raises(SensewellError, match=r"compiling broken for x64 failed(.|\n)*expected"):
        inline.compile_module("broken", "x64", {"module.c": "this is no C\n"})


def test_models_without_an_exact_inline_form_are_refused(
    digits: tuple[Array, Array], model: RandomForestClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SensewellError, match=r'an inline module is exact with the hard vote only.*"soft"'):
        inline.module(model, digits[0], "x64", "soft")
    wrapper, right = emlearn_forms.mended(model, "hard", "x")
    right.nodes[:, 1] -= 1
    monkeypatch.setattr(emlearn_forms, "mended", lambda *_: (wrapper, right))
    with pytest.raises(SensewellError, match=r"an inline module: .* rows differ from scikit-learn: row"):
        inline.module(model, digits[0], "x64")


def test_the_command_writes_the_module(
    tmp_path: Path,
    digits: tuple[Array, Array],
    model: RandomForestClassifier,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    need("x64")
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "train.json").write_text(json.dumps({"vote": "hard"}))
    joblib.dump(model, folder / "forest.joblib")
    np.savez(folder / "features.npz", X_train=digits[0][:1300], X_test=digits[0][1300:])
    monkeypatch.setattr(sys, "argv", ["sensewell", "convert", str(folder), "--inline", "unix"])
    try:
        cli.main()
    except SystemExit as ended:
        assert not ended.code
    assert (folder / "digits-inline-x64.mpy").read_bytes() == inline.module(model, digits[0], "x64")
    assert "hard vote on 1,797 rows: 0 differ" in " ".join(capsys.readouterr().out.split())
