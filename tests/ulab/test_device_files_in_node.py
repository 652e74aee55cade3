"""Every file of tests/device again where there is neither viper nor native code: plain bytecode, beside ulab."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

WITHOUT = {
    # bytecode keeps pointers and large integers on the heap: the promise is that of native code and of viper
    "test_pipeline_random": ("test_no_byte_is_allocated_from_sample_to_decision_whatever_comes",),
    # in node, errors of the operating system have numbers of their own
    "test_trust": ("test_files_are_read_and_what_cannot_be_is_refused",),
}
FILES = sorted(path.stem for path in (Path(__file__).parents[1] / "device").glob("test_*.py"))


@pytest.mark.parametrize("module", FILES)
def test_device_file(run_file: Callable[..., str], module: str) -> None:
    run_file(module, *WITHOUT.get(module, ()))
