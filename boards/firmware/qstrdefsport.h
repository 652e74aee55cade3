// Names that C code interns beyond those the build finds by itself.
// The module path of a board, as every stock firmware has it.
Q(/lib)
