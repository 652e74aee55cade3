// Stand-in (see ../../../README.md): an interpreter whose outputs are its inputs, with all its memory in the arena.
#pragma once
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

struct TfLiteTensor {
    union {
        char *raw;
    } data;
    size_t bytes;
};

namespace tflite {
class MicroInterpreter {
public:
    MicroInterpreter(const Model *model, const MicroOpResolver &resolver, uint8_t *arena, size_t arena_bytes);
    TfLiteStatus AllocateTensors();
    TfLiteStatus Invoke();
    TfLiteStatus Reset();
    TfLiteTensor *input(size_t index);
    TfLiteTensor *output(size_t index);
    size_t arena_used_bytes() const { return used; }
    TfLiteStatus initialization_status() const { return kTfLiteOk; }

private:
    uint32_t checksum() const;
    const Model *model;
    const MicroOpResolver &resolver;
    uint8_t *arena;
    size_t arena_bytes, used = 0, model_bytes = 0;
    bool allocated = false;
    int32_t n_inputs = 0, n_outputs = 0, calls = 0;
    uint32_t sum = 0;
};
}  // namespace tflite
