// Stand-in (see README.md): an interpreter that copies inputs to outputs, adds the number of calls to the first byte,
// and does what its first input is called: "fail", "abort", "mute", "reset". One that runs without memory, or whose model
// or arena were reused by somebody else, ends the process with a status of its own: tests see it.
#include <cstdarg>
#include <cstdlib>
#include <cstring>

#include "sw_tflm.h"
#include "tensorflow/lite/micro/debug_log.h"
#include "tensorflow/lite/micro/micro_interpreter.h"

namespace {
void print(const char *format, ...) {
    va_list args;
    va_start(args, format);
    DebugLog(format, args);
    va_end(args);
}

// What lies at the start of the arena, behind it the tensors themselves.
struct Records {
    char canary[8];
    TfLiteTensor tensors[8];
};
}  // namespace

namespace tflite {
MicroInterpreter::MicroInterpreter(
    const Model *model, const MicroOpResolver &resolver, uint8_t *arena, size_t arena_bytes)
    : model(model), resolver(resolver), arena(arena), arena_bytes(arena_bytes) {
    std::memset(arena, 0xA5, 256);
}

uint32_t MicroInterpreter::checksum() const {
    uint32_t result = 0;
    for (size_t i = 0; i < model_bytes; i++) {
        result = result * 31 + reinterpret_cast<const uint8_t *>(model)[i];
    }
    return result;
}

TfLiteStatus MicroInterpreter::AllocateTensors() {
    model_bytes = flatbuffers::verified_bytes;
    sw_neural_facts facts;
    if (sw_tflm_prove(model, model_bytes, &facts)) {
        print("the stand-in cannot read this\r\n");
        return kTfLiteError;
    }
    for (int32_t k = 0; sw_tflm_op(model, model_bytes, k) >= 0; k++) {
        if (!resolver.has(sw_tflm_op(model, model_bytes, k))) {
            print("no operator number %d here", sw_tflm_op(model, model_bytes, k));
            print("\r\n");
            return kTfLiteError;
        }
    }
    n_inputs = facts.n_inputs;
    n_outputs = facts.n_outputs;
    size_t at = sizeof(Records);
    Records *records = reinterpret_cast<Records *>(arena);
    for (int32_t k = 0; k < n_inputs + n_outputs; k++) {
        sw_neural_port port;
        sw_tflm_describe(model, model_bytes, k, &port);
        at = (at + 15) / 16 * 16;
        records->tensors[k].data.raw = reinterpret_cast<char *>(arena + at);
        records->tensors[k].bytes = static_cast<size_t>(port.bytes);
        at += static_cast<size_t>(port.bytes);
        if (at > arena_bytes) {
            print("%d bytes missing\r\n", static_cast<int>(at - arena_bytes));
            return kTfLiteError;
        }
    }
    std::memcpy(records->canary, "canary!", 8);
    used = at;
    sum = checksum();
    allocated = true;
    return kTfLiteOk;
}

TfLiteTensor *MicroInterpreter::input(size_t index) {
    return &reinterpret_cast<Records *>(arena)->tensors[index];
}

TfLiteTensor *MicroInterpreter::output(size_t index) {
    return &reinterpret_cast<Records *>(arena)->tensors[static_cast<size_t>(n_inputs) + index];
}

TfLiteStatus MicroInterpreter::Invoke() {
    if (!allocated) {
        std::exit(98);
    }
    if (std::memcmp(arena, "canary!", 8) || checksum() != sum) {
        std::exit(99);
    }
    sw_neural_port port;
    sw_tflm_describe(model, model_bytes, 0, &port);
    char name[8] = {};
    std::memcpy(name, reinterpret_cast<const char *>(model) + port.name, port.name_bytes < 7 ? port.name_bytes : 7);
    if (!std::strcmp(name, "fail")) {
        print("node %d (%s) failed", 3, "STAND_IN");
        print("\r\n");
        print(" and so on\r\n");
        return kTfLiteError;
    }
    if (!std::strcmp(name, "mute")) {
        return kTfLiteError;
    }
    if (!std::strcmp(name, "abort")) {
        print("HALTED\r\n");
        std::abort();
    }
    for (int32_t k = 0; k < n_outputs; k++) {
        TfLiteTensor *from = input(static_cast<size_t>(k < n_inputs ? k : 0)), *to = output(static_cast<size_t>(k));
        std::memcpy(to->data.raw, from->data.raw, from->bytes < to->bytes ? from->bytes : to->bytes);
        to->data.raw[0] = static_cast<char>(to->data.raw[0] + calls);
    }
    calls++;
    return kTfLiteOk;
}

TfLiteStatus MicroInterpreter::Reset() {
    sw_neural_port port;
    sw_tflm_describe(model, model_bytes, 0, &port);
    if (port.name_bytes == 5 && !std::memcmp(reinterpret_cast<const char *>(model) + port.name, "reset", 5)) {
        print("reset failed\r\n");
        return kTfLiteError;
    }
    calls = 0;
    return kTfLiteOk;
}
}  // namespace tflite
