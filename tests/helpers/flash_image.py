"""A flash with files in it, for virtual boards to start with: made by the unix board, where each would else go over a
serial line. Knows littlefs as boards have it; no board that runs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from sensewell_host.board import Board, catalog, virtual

_SCRIPT = """
import os, sys, vfs
folder, out, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
class Image:
    def __init__(self): self.data = bytearray(size)
    def readblocks(self, n, b, o=0): b[:] = self.data[n * 4096 + o : n * 4096 + o + len(b)]
    def writeblocks(self, n, b, o=0): self.data[n * 4096 + o : n * 4096 + o + len(b)] = b
    def ioctl(self, op, arg): return {4: size // 4096, 5: 4096}.get(op, 0)
image = Image()
vfs.VfsLfs2.mkfs(image)
disk = vfs.VfsLfs2(image)
vfs.mount(disk, "/disk")
def copy(at):
    for name, kind, *_ in os.ilistdir(folder + at):
        path = at + "/" + name
        if kind == 0x4000:
            os.mkdir("/disk" + path)
            copy(path)
        else:
            with open(folder + path, "rb") as source, open("/disk" + path, "wb") as target:
                target.write(source.read())
copy("")
vfs.umount("/disk")
with open(out, "wb") as file:
    file.write(image.data)
"""


def put(board: Board, files: Mapping[str, bytes]) -> None:
    """`files` (path on the board -> content) over the line."""
    for path, content in files.items():
        board.mkdirs(path.rpartition("/")[0])
        board.put(path, content)


def make(name: str, files: Mapping[str, bytes], folder: Path) -> Path | None:
    """An image for the board `name` with `files` (path on the board -> content), made in the new `folder`.

    None where the unix board is not built: then they have to be put.
    """
    if not virtual.is_built("unix"):
        return None
    tree = folder / "tree"
    for path, content in files.items():
        target = tree / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    (folder / "make.py").write_text(_SCRIPT)
    image = folder / "image"
    command = [str(catalog.load("unix").firmware), "-X", "heapsize=16M", str(folder / "make.py"), str(tree), str(image)]
    subprocess.run([*command, str(catalog.load(name).flash_bytes)], check=True)
    return image
