/* TFLM behind the C functions of sw_tflm.h: one interpreter a net, in memory the caller gives. Knows no MicroPython.
 *
 * Two symbols are wrapped by the linker (--wrap): DebugLog, to keep what TFLM says; and abort, so that a check that
 * TFLM fails becomes an error too. One call at a time, as under a global interpreter lock.
 */
#include "sw_tflm.h"

#include <csetjmp>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <new>
#include <type_traits>

#include "tensorflow/lite/micro/debug_log.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

#include "sensewell_tflm_ops.h"

static_assert(std::is_same<decltype(&DebugLog), void (*)(const char *, va_list)>::value,
    "TensorFlow Lite Micro of July 2023 or newer is needed: DebugLog(format, arguments)");

#ifdef ESP_PLATFORM
#define ALWAYS_REACHABLE __attribute__((section(".iram1.sw_abort"))) /* abort() may come while flash is off */
#else
#define ALWAYS_REACHABLE
#endif

namespace {

typedef tflite::MicroMutableOpResolver<SW_TFLM_N_OPS> Resolver;

struct Net {
    bool ready;
    int32_t n_inputs;
    alignas(tflite::MicroInterpreter) unsigned char interpreter[sizeof(tflite::MicroInterpreter)];
};

struct Known {
    uint32_t bytes, hash;
    int32_t arena_bytes;
};
const Known known[] = SW_TFLM_MODELS;

char message[200];
size_t length;
volatile bool inside;
jmp_buf way_out;

alignas(Resolver) unsigned char resolver_memory[sizeof(Resolver)];
Resolver *resolver;

tflite::MicroInterpreter *interpreter(Net *net) {
    return reinterpret_cast<tflite::MicroInterpreter *>(net->interpreter);
}

void say(const char *text) {
    std::snprintf(message, sizeof message, "%s", text);
    length = std::strlen(message);
}

/* TFLM's lines as one, a space between them. */
void one_line() {
    size_t kept = 0;
    for (size_t i = 0; i < length; i++) {
        char letter = message[i] == '\r' || message[i] == '\n' ? ' ' : message[i];
        if (letter != ' ' || (kept && message[kept - 1] != ' ')) {
            message[kept++] = letter;
        }
    }
    kept -= kept && message[kept - 1] == ' ';
    message[kept] = 0;
    length = kept;
}

TfLiteTensor *tensor(Net *net, int32_t number) {
    size_t k = static_cast<size_t>(number < net->n_inputs ? number : number - net->n_inputs);
    return number < net->n_inputs ? interpreter(net)->input(k) : interpreter(net)->output(k);
}

/* What TFLM made of the ports is what the file says; else its headers and its library do not belong together. */
bool ports_agree(Net *net, const void *model, size_t bytes, int32_t n_ports) {
    for (int32_t k = 0; k < n_ports; k++) {
        sw_neural_port port;
        TfLiteTensor *made = tensor(net, k);
        if (sw_tflm_describe(model, bytes, k, &port) || !made || !made->data.raw ||
            made->bytes != static_cast<size_t>(port.bytes)) {
            return false;
        }
    }
    return true;
}

/* Calls TFLM: its messages from here on are kept, its abort() leads back. */
template <typename Call>
int32_t guarded(Call call) {
    length = 0;
    message[0] = 0;
    volatile bool good = false;
    if (setjmp(way_out) == 0) {
        inside = true;
        good = call();
    }
    inside = false;
    one_line();
    if (!good && !length) {
        say("TensorFlow Lite Micro gave no message; is it built without error strings?");
    }
    return good ? 0 : -1;
}

bool make(Net *net, const void *model, size_t bytes, uint8_t *arena, size_t arena_bytes, int32_t n_ports) {
    flatbuffers::Verifier verifier(static_cast<const uint8_t *>(model), bytes);
    if (!tflite::VerifyModelBuffer(verifier)) {
        say("not a sound .tflite file");
        return false;
    }
    if (!resolver) {
        Resolver *made = new (resolver_memory) Resolver();
        if (!SW_TFLM_ADD_OPS(*made)) {
            return false;
        }
        resolver = made;
    }
    tflite::MicroInterpreter *it =
        new (net->interpreter) tflite::MicroInterpreter(tflite::GetModel(model), *resolver, arena, arena_bytes);
    if (it->initialization_status() != kTfLiteOk || it->AllocateTensors() != kTfLiteOk) {
        return false;
    }
    if (!ports_agree(net, model, bytes, n_ports)) {
        say("ports differ from the file's: TFLM_INCLUDE, TFLM_CXXFLAGS and TFLM_LIB must belong together");
        return false;
    }
    return true;
}

}  // namespace

extern "C" {

void __wrap_DebugLog(const char *format, va_list arguments) {
    if (length < sizeof message - 1) {
        int more = std::vsnprintf(message + length, sizeof message - length, format, arguments);
        length += more > 0 ? static_cast<size_t>(more) : 0;
        length = length < sizeof message ? length : sizeof message - 1;
    }
}

[[noreturn]] void __real_abort(void);

[[noreturn]] ALWAYS_REACHABLE void __wrap_abort(void) {
    if (inside) {
        std::longjmp(way_out, 1);
    }
    __real_abort();
}

int32_t sw_tflm_reckoned(const void *model, size_t bytes) {
    const uint8_t *data = static_cast<const uint8_t *>(model);
    uint32_t hash = 0x811C9DC5u;
    int32_t most = 0;
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ data[i]) * 0x01000193u;
    }
    for (const Known &one : known) {
        if (one.bytes == bytes && one.hash == hash) {
            return one.arena_bytes;
        }
        most = one.arena_bytes > most ? one.arena_bytes : most;
    }
    int32_t least = sw_tflm_least(model, bytes);
    return most > least ? most : least;
}

size_t sw_tflm_net_bytes(void) {
    return sizeof(Net);
}

int32_t sw_tflm_open(void *memory, const void *model, size_t bytes, void *arena, size_t arena_bytes) {
    Net *net = new (memory) Net;
    sw_neural_facts facts;
    net->ready = false;
    if (sw_tflm_prove(model, bytes, &facts)) {
        say("not a sound .tflite file");
        return -1;
    }
    int32_t least = sw_tflm_least(model, bytes);
    if (arena_bytes < static_cast<size_t>(least)) {
        std::snprintf(message, sizeof message, "the arena needs %d bytes at least", static_cast<int>(least));
        return -1;
    }
    net->n_inputs = facts.n_inputs;
    int32_t n_ports = facts.n_inputs + facts.n_outputs;
    uint8_t *from = static_cast<uint8_t *>(arena);
    int32_t failed = guarded([=] { return make(net, model, bytes, from, arena_bytes, n_ports); });
    net->ready = !failed;
    return failed;
}

int32_t sw_tflm_invoke(void *memory) {
    Net *net = static_cast<Net *>(memory);
    if (!net->ready) {
        say("the interpreter is not usable since an earlier error; open the model again");
        return -1;
    }
    net->ready = false; /* stays so where TFLM aborts */
    return guarded([=] {
        TfLiteStatus status = interpreter(net)->Invoke();
        net->ready = true;
        return status == kTfLiteOk;
    });
}

int32_t sw_tflm_reset(void *memory) {
    Net *net = static_cast<Net *>(memory);
    if (!net->ready) {
        say("the interpreter is not usable since an earlier error; open the model again");
        return -1;
    }
    net->ready = false;
    return guarded([=] {
        TfLiteStatus status = interpreter(net)->Reset();
        net->ready = true;
        return status == kTfLiteOk;
    });
}

void *sw_tflm_port(void *memory, int32_t number) {
    Net *net = static_cast<Net *>(memory);
    return net->ready ? tensor(net, number)->data.raw : nullptr;
}

size_t sw_tflm_arena_used(void *memory) {
    Net *net = static_cast<Net *>(memory);
    return net->ready ? interpreter(net)->arena_used_bytes() : 0;
}

const char *sw_tflm_message(void) {
    return message;
}

void sw_tflm_abandon(void) {
    inside = false;
}

}  // extern "C"
