// What the firmware of a virtual board contains: the choices of a stock ESP32-C3 release, where QEMU has the part.
// Radio, pins and buses are left out because nothing is behind them here; sensors are replayed instead.
// Compiled with an unmodified MicroPython tree.

#include <alloca.h>
#include <stdint.h>

#define MICROPY_CONFIG_ROM_LEVEL                (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

// Code generators: the processor's own, so that viper and native .mpy files work.
#if defined(__riscv)
#define MICROPY_EMIT_RV32                       (1)
#define MICROPY_EMIT_INLINE_RV32                (1)
#else
#define MICROPY_EMIT_THUMB                      (1)
#define MICROPY_EMIT_INLINE_THUMB               (1)
#define MICROPY_MAKE_POINTER_CALLABLE(p)        ((void *)((mp_uint_t)(p) | 1))
#endif
#define MICROPY_PERSISTENT_CODE_LOAD            (1)
#define MICROPY_OPT_COMPUTED_GOTO               (1)

// The language and its run time.
#define MICROPY_ENABLE_GC                       (1)
#define MICROPY_STACK_CHECK_MARGIN              (2048)
#define MICROPY_ALLOC_PATH_MAX                  (128)
#define MICROPY_LONGINT_IMPL                    (MICROPY_LONGINT_IMPL_MPZ)
#define MICROPY_FLOAT_IMPL                      (MICROPY_FLOAT_IMPL_FLOAT)
#define MICROPY_ERROR_REPORTING                 (MICROPY_ERROR_REPORTING_NORMAL)
#define MICROPY_ENABLE_EMERGENCY_EXCEPTION_BUF  (1)
#define MICROPY_WARNINGS                        (1)
#define MICROPY_STREAMS_POSIX_API               (1)
#define MICROPY_USE_INTERNAL_ERRNO              (1)
#define MICROPY_SCHEDULER_DEPTH                 (8)
#define MP_NEED_LOG2                            (1)

// The REPL. A large receive buffer lets the host send source without waiting for every 128 bytes.
#define MICROPY_REPL_STDIN_BUFFER_MAX           (2048)

// Files.
#define MICROPY_VFS                             (1)
#define MICROPY_READER_VFS                      (1)

// Modules beyond the feature level.
#define MICROPY_PY_STR_BYTES_CMP_WARN           (1)
#define MICROPY_PY_ALL_INPLACE_SPECIAL_METHODS  (1)
#define MICROPY_PY_IO_BUFFEREDWRITER            (1)
#define MICROPY_PY_SYS_PLATFORM                 "qemu"
#define MICROPY_PY_HASHLIB_MD5                  (0) // needs a TLS library
#define MICROPY_PY_HASHLIB_SHA1                 (0) // needs a TLS library
#define MICROPY_PY_HASHLIB_SHA256               (1)
#define MICROPY_PY_OS_SYNC                      (1)
#define MICROPY_PY_OS_UNAME                     (1)
#define MICROPY_PY_OS_URANDOM                   (1)
#define MICROPY_PY_OS_INCLUDEFILE               "modos_port.c"
#define MICROPY_PY_RANDOM_SEED_INIT_FUNC        (clock_random())
#define MICROPY_PY_TIME_GMTIME_LOCALTIME_MKTIME (1)
#define MICROPY_PY_TIME_TIME_TIME_NS            (1)
#define MICROPY_PY_TIME_INCLUDEFILE             "modtime_port.c"
#define MICROPY_PY_MACHINE                      (1)
#define MICROPY_PY_MACHINE_INCLUDEFILE          "modmachine_port.c"
#define MICROPY_PY_MACHINE_EXTRA_GLOBALS        MACHINE_PORT_GLOBALS
#define MICROPY_PY_MACHINE_RESET                (1)
#define MICROPY_PY_MACHINE_BARE_METAL_FUNCS     (1)
#define MICROPY_PY_MACHINE_DISABLE_IRQ_ENABLE_IRQ (1)
#define MICROPY_PY_MACHINE_WDT                  (1)
#define MICROPY_PY_MACHINE_WDT_INCLUDEFILE      "machine_wdt_port.c"

// The machine.
#define MP_SSIZE_MAX                            (0x7fffffff)
#define UINT_FMT                                "%lu"
#define INT_FMT                                 "%ld"
typedef int32_t mp_int_t;
typedef uint32_t mp_uint_t;
typedef long mp_off_t;

#define MP_STATE_PORT                           MP_STATE_VM

uint32_t clock_random(void);
