"""Device source without viper: the same functions as bytecode, for firmware that has no native emitter.

Knows viper's decorator, its pointer types and device/sensewell/_plain.py, which stands in for them; no board.
"""

from __future__ import annotations

import ast

MODULE = "sensewell._plain"
_POINTERS = frozenset({"ptr8", "ptr16", "ptr32"})
_EMITTERS = frozenset({"micropython.viper", "micropython.native"})
_HEAP = frozenset({"heap_lock", "heap_unlock"})


def bytecode(source: str) -> str:
    """`source` of a device module or of a test, in which viper functions have become ordinary ones.

    Their pointer arguments are made pointers at their start; `micropython` is the stand-in module. Comments are lost.
    Raises SyntaxError as ast.parse does.
    """
    writer = _Writer()
    tree: ast.Module = writer.visit(ast.parse(source))
    used = writer.used - {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}  # the module itself: none
    if used:
        tree.body.insert(ast.get_docstring(tree) is not None, _import(MODULE, sorted(used)))
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


class _Writer(ast.NodeTransformer):
    """Rewrites one module; `used`: the stand-ins that it calls by name."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        kept = [one for one in node.decorator_list if ast.unparse(one) not in _EMITTERS]
        if len(kept) < len(node.decorator_list):
            node.decorator_list = kept
            node.returns = None
            start: list[ast.stmt] = []
            for argument in node.args.args:
                kind = argument.annotation
                argument.annotation = None
                if isinstance(kind, ast.Name) and kind.id in _POINTERS:
                    start += ast.parse(f"{argument.arg} = {kind.id}({argument.arg})").body
            node.body[:0] = start
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in _POINTERS or node.id == "uint":
            self.used.add(node.id)
        return node

    def visit_Import(self, node: ast.Import) -> ast.AST:
        if [alias.name for alias in node.names] == ["micropython"]:
            package, _, name = MODULE.rpartition(".")
            return _import(package, [name], "micropython")
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.module == "micropython" and _HEAP.issuperset(alias.name for alias in node.names):
            node.module = MODULE
        return node


def _import(module: str, names: list[str], as_name: str | None = None) -> ast.ImportFrom:
    return ast.ImportFrom(module, [ast.alias(name, as_name) for name in names], 0)
