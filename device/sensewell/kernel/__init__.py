"""Kernels of features that a bundle may or may not ask for: build/features.py imports those it needs, and no other.

`prepare(features)` fills slots of the block `t` for the channel at hand; `ask(features, op, a, b)` returns one feature
of it, with the parameters of its entry. Opcodes and places in the block are those of features.py. No bundle, no names.
"""
