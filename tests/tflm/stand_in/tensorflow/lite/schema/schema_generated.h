// Stand-in (see ../../../README.md): a model is its bytes, and the verifier only looks at the first of them.
#pragma once
#include <cstddef>
#include <cstdint>

namespace flatbuffers {
inline size_t verified_bytes; // the stand-in's interpreter learns from here how long the model is

struct Verifier {
    Verifier(const uint8_t *data, size_t bytes) : data(data), bytes(bytes) { verified_bytes = bytes; }
    const uint8_t *data;
    size_t bytes;
};
}  // namespace flatbuffers

namespace tflite {
struct Model;

inline bool VerifyModelBuffer(flatbuffers::Verifier &verifier) {
    return verifier.bytes > 8 && verifier.data[4] == 'T';
}

inline const Model *GetModel(const void *data) {
    return static_cast<const Model *>(data);
}
}  // namespace tflite
