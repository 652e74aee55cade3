"""Device tests write files beside themselves, as on a board: each process of a parallel run has a folder of its own."""

import pytest


@pytest.fixture(autouse=True)
def _own_folder(tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.getbasetemp())
