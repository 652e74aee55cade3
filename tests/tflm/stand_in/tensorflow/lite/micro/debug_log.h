// Stand-in (see ../../../README.md): what TFLM prints to.
#pragma once
#include <cstdarg>
#include <cstddef>

extern "C" {
void DebugLog(const char *format, va_list args);
}
