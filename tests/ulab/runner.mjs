// Runs one Python program on MicroPython with ulab, in node. Knows the npm package's loader; no test.
//   node runner.mjs PACKAGE_DIR LIB_DIR PROGRAM     LIB_DIR is copied to /lib; the exit code is 1 where it raises
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [packageDir, libDir, program] = process.argv.slice(2);
const { loadMicroPython } = await import(pathToFileURL(path.resolve(packageDir, "micropython.mjs")));
const board = await loadMicroPython({
  url: path.resolve(packageDir, "micropython-ulab.wasm"),
  heapsize: 32 << 20, // it collects garbage between programs only
  pystack: 64 << 10,
  stdout: (line) => console.log(line),
});

function copy(from, to) {
  if (!board.FS.analyzePath(to).exists) board.FS.mkdir(to);
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const source = path.join(from, entry.name);
    if (entry.isDirectory()) copy(source, `${to}/${entry.name}`);
    else board.FS.writeFile(`${to}/${entry.name}`, fs.readFileSync(source));
  }
}

copy(libDir, "/lib");
try {
  board.runPython(program);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
process.exit(0);
