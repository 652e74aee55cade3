# Mounts the flash of a virtual board at /. Frozen, and run before boot.py at every start and soft reset.
# A blank flash (a new board) is formatted; a flash that holds a file system is never touched.

import vfs
import virt

try:
    vfs.mount(virt.flash, "/")
except OSError:
    vfs.VfsLfs2.mkfs(virt.flash)
    vfs.mount(virt.flash, "/")
