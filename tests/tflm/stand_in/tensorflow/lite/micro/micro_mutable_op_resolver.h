// Stand-in (see ../../../README.md): remembers which operators were added.
#pragma once
#include <cstddef>
#include <cstdint>

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

namespace tflite {
class MicroOpResolver {
public:
    virtual bool has(int32_t code) const = 0;

protected:
    ~MicroOpResolver() = default;
};

template <unsigned int count>
class MicroMutableOpResolver : public MicroOpResolver {
public:
    bool has(int32_t code) const override {
        for (unsigned int i = 0; i < n; i++) {
            if (codes[i] == code) {
                return true;
            }
        }
        return false;
    }
    TfLiteStatus AddReshape() { return add(22); }
    TfLiteStatus AddRelu() { return add(19); }
    TfLiteStatus AddConv2D() { return add(3); }
    TfLiteStatus AddFullyConnected() { return add(9); }
    TfLiteStatus AddUnidirectionalSequenceLSTM() { return add(44); }

private:
    TfLiteStatus add(int32_t code) {
        if (n >= count) {
            return kTfLiteError;
        }
        codes[n++] = code;
        return kTfLiteOk;
    }
    int32_t codes[count] = {};
    unsigned int n = 0;
};
}  // namespace tflite
