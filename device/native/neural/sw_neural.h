/* int8 networks: a .tflite file, proven sound, then run where it lies. Bit for bit what TensorFlow Lite Micro computes.
 *
 * Arithmetic: the TFLite quantisation specification. Weights are never copied. Knows nothing of MicroPython: the same
 * files serve boards and PCs. No variables of its own, no allocation, no floats, no 64-bit division: nothing to link with.
 * Little-endian machines only, as all boards are.
 *
 * The way: measure() says how much memory a net needs; prepare() fills it; bind() every input and output; predict().
 */
#ifndef SENSEWELL_NEURAL_H
#define SENSEWELL_NEURAL_H

#include <stddef.h>
#include <stdint.h>

/* What measure() and prepare() say; the names are those of Refused("neural....") */
enum {
    SW_NEURAL_SOUND,
    SW_NEURAL_TRUNCATED,    /* something points outside of the file */
    SW_NEURAL_ALIGNMENT,    /* the file, or numbers in it, do not lie as their kind must */
    SW_NEURAL_MAGIC,        /* not a .tflite file */
    SW_NEURAL_VERSION,      /* not version 3 of the schema */
    SW_NEURAL_GRAPH,        /* not one subgraph with inputs, outputs and operators of its own */
    SW_NEURAL_LIMIT,        /* more tensors, operators or work than any board can do */
    SW_NEURAL_OP,           /* an operator that is not built in */
    SW_NEURAL_OPERANDS,     /* a wrong number of tensors, or a tensor number that does not exist */
    SW_NEURAL_OPTIONS,      /* options that are missing or not supported */
    SW_NEURAL_TYPE,         /* a type of numbers that the operator does not take */
    SW_NEURAL_SHAPE,        /* shapes that do not fit each other */
    SW_NEURAL_QUANTISATION, /* scales or zero points that are missing, unusable or do not fit each other */
    SW_NEURAL_CONSTANT,     /* a constant that is missing, or not as long as its shape says */
    SW_NEURAL_ORDER,        /* a tensor that is read before it is written, or written twice */
    SW_NEURAL_ARENA,        /* tensors need more memory than any board has */
    SW_NEURAL_PLAN,         /* the file's own memory plan lets tensors overlap that live at the same time */
    SW_NEURAL_MEMORY        /* the memory given to prepare() is too small */
};

/* Kinds of numbers, as the schema counts them */
enum { SW_FLOAT32 = 0, SW_INT32 = 2, SW_UINT8 = 3, SW_INT16 = 7, SW_INT8 = 9 };

typedef struct {
    int32_t net_bytes;   /* measure: memory for the net */
    int32_t work_bytes;  /* measure: memory for prepare() itself, free afterwards */
    int32_t arena_bytes; /* prepare: memory for tensors */
    int32_t n_inputs, n_outputs, n_ops;
    int32_t macs;        /* multiply-accumulates and moves of one prediction: its work */
    int32_t op;          /* refused: number of the operator it is about, else -1 */
    int32_t code;        /* and which one that is, as the schema counts them */
} sw_neural_facts;

/* An input or an output of the net */
typedef struct {
    int32_t name, name_bytes; /* where in the file */
    int32_t type, n_dims, dims[5], bytes;
    int32_t scale_bits;       /* a float32; 0: not quantised */
    int32_t zero_point;
} sw_neural_port;

/* Is the file entirely sound, and what does it need? Reads nothing outside of it. */
int32_t sw_neural_measure(const void *model, size_t bytes, sw_neural_facts *facts);

/* Makes the net. net, work: as long as measure() said, 8-byte aligned. The model must stay as it is. */
int32_t sw_neural_prepare(const void *model, size_t bytes, void *net, void *work, sw_neural_facts *facts);

/* Did prepare() make this net of a model as long, and do so many bytes of arena suffice? */
int32_t sw_neural_fits(size_t model_bytes, const void *net, size_t net_bytes, size_t arena_bytes);

/* Describes input `number`, or output `number - n_inputs`. Returns 0, or -1 where there is none. */
int32_t sw_neural_describe(const void *model, size_t bytes, const void *net, int32_t number, sw_neural_port *port);

/* Which operator is number `k`, as the schema counts them? -1: there is none. */
int32_t sw_neural_op(const void *net, int32_t k);

/* Sets the state of recurrent layers to its zero points; to be called before the first prediction. */
void sw_neural_reset(const void *net, void *arena);

/* Says where an input or output (numbered as for describe) lies; form: 'b', 'B', 'h', 'i', 'l', 'f' as in a struct, or
 * 1 for plain bytes. 0: accepted; -1: no such number, -2: not that kind of numbers, -3 wrong length, -4 misaligned.
 */
int32_t sw_neural_bind(void *net, int32_t number, const void *data, size_t bytes, int32_t form);

/* One prediction over what is bound, then unbinds. 0: done; -1: not all is bound; -2: an output overlaps a port. */
int32_t sw_neural_predict(const void *model, void *net, void *arena);

#endif
