/*
 * Driver of an Ageha accelerator.
 *
 * Freestanding C99: no allocation, no C library, no floating point. `ageha_isa.h` and
 * `ageha_registers.h` are written by `ageha generate` for one set of parameters; a machine or a
 * program with others is refused. One caller at a time uses a device; `ageha_device_interrupt` may
 * be called by an interrupt handler meanwhile.
 */
#ifndef AGEHA_DRIVER_H
#define AGEHA_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ageha_isa.h"
#include "ageha_registers.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that the machine's address of a window is a multiple of. */
#define AGEHA_WINDOW_ALIGNMENT 4096u

/* What a function found. */
enum ageha_status {
    AGEHA_STATUS_OK,
    AGEHA_STATUS_RUNNING,            /* The program has not ended yet. */
    AGEHA_STATUS_STOPPED,            /* The machine stopped the program: `ageha_device_error`. */
    AGEHA_STATUS_TIMEOUT,            /* The machine does not answer in time. */
    AGEHA_STATUS_BUSY,               /* A program is running. */
    AGEHA_STATUS_NOT_LOADED,         /* No program was loaded. */
    AGEHA_STATUS_NO_DEVICE,          /* The registers are not those of an accelerator. */
    AGEHA_STATUS_DEVICE_VERSION,     /* The machine has another instruction set. */
    AGEHA_STATUS_DEVICE_PARAMETERS,  /* The machine has other parameters than the headers. */
    AGEHA_STATUS_MEMORY,             /* The memory is too small for the windows, or misaligned. */
    AGEHA_STATUS_NO_PROGRAM,         /* The file does not begin as a program does. */
    AGEHA_STATUS_FILE_VERSION,       /* The file has another version. */
    AGEHA_STATUS_PROGRAM_VERSION,    /* The program is for another instruction set. */
    AGEHA_STATUS_PROGRAM_PARAMETERS, /* The program is for other parameters. */
    AGEHA_STATUS_TRUNCATED,          /* The end of the file is missing. */
    AGEHA_STATUS_DAMAGED,            /* A checksum is wrong, or the file contradicts itself. */
    AGEHA_STATUS_NO_WINDOWS          /* The file is too old to say which windows it needs. */
};

/* Return a status as a sentence without a full stop. */
const char *ageha_status_text(enum ageha_status status);

/* A program file in memory. Fill it with `ageha_program_open`; the file must stay where it is. */
struct ageha_program {
    const uint8_t *code;     /* Instructions, AGEHA_INSTRUCTION_BYTES each. */
    const uint8_t *segments; /* Table of the constant data. */
    const uint8_t *windows;  /* Table of the windows. */
    const uint8_t *data;     /* Constant data, one segment after the other. */
    size_t data_bytes;       /* From `data` to the end of the file. */
    uint32_t instructions;
    uint32_t segment_count;
    uint32_t window_count;
    uint32_t code_window;
    uint64_t code_offset; /* Of the program's header in its window. */
};

/*
 * Check a program file and find its parts.
 *
 * Everything is checked before anything is used: magic, checksums, versions, parameters, and that
 * code and data lie in the windows.
 */
enum ageha_status ageha_program_open(struct ageha_program *program, const void *file, size_t size);

/* Where a window lies in the memory of the device. */
struct ageha_window {
    size_t offset; /* From `memory`. */
    size_t bytes;  /* 0: not open. */
};

/*
 * A machine and its memory. Set the first group, and zero the rest.
 *
 * With `registers`, the registers are accessed there; without, through `read32` and `write32`,
 * whose offsets are in bytes. `barrier` makes what the CPU wrote visible to the machine, and what
 * the machine wrote visible to the CPU: a memory barrier, and cache maintenance of `memory` where
 * the machine does not see the caches. It is always needed, because the compiler may move
 * accesses to `memory` past those to the registers otherwise.
 */
struct ageha_device {
    volatile uint32_t *registers;
    uint32_t (*read32)(void *context, uint32_t offset);
    void (*write32)(void *context, uint32_t offset, uint32_t value);
    void (*barrier)(void *context);
    void *context;
    uint8_t *memory;         /* Where the CPU sees the memory for programs and data. */
    uint64_t memory_address; /* Where the machine sees it: a multiple of AGEHA_WINDOW_ALIGNMENT. */
    size_t memory_bytes;

    struct ageha_window windows[AGEHA_CONTROLLER_WINDOWS];
    uint32_t instructions;
};

/* Why a program was stopped. */
struct ageha_error {
    uint32_t code;    /* One of `enum ageha_error_code`. */
    uint32_t index;   /* The instruction that failed; counts from zero. */
    uint64_t address; /* What failed; the meaning depends on the code. */
    const char *name; /* The code as text, such as "ILLEGAL_OPCODE". */
};

/* Check identity, version and parameters of the machine. */
enum ageha_status ageha_device_identify(const struct ageha_device *device);

/*
 * Place the windows of a program one after the other in the memory, open them, and write code and
 * constants. Windows of an earlier program are closed.
 */
enum ageha_status ageha_device_load(struct ageha_device *device,
                                    const struct ageha_program *program);

/* Return where the CPU sees an open window, to write inputs and read outputs; else NULL. */
uint8_t *ageha_device_window(const struct ageha_device *device, uint32_t index);

/*
 * Start the loaded program and return at once.
 *
 * The machine stops by itself after `watchdog` cycles without progress; 0 turns this off.
 */
enum ageha_status ageha_device_start(const struct ageha_device *device, uint32_t watchdog);

/* Return RUNNING; or once the program has ended, OK or STOPPED, with the outputs visible. */
enum ageha_status ageha_device_poll(const struct ageha_device *device);

/* Poll until the program has ended, at most `polls` times; then return TIMEOUT. */
enum ageha_status ageha_device_wait(const struct ageha_device *device, uint64_t polls);

/*
 * Raise the interrupt when a program ends, with or without an error; or never.
 *
 * What was noted before is forgotten.
 */
void ageha_device_enable_interrupt(const struct ageha_device *device, bool enable);

/* Return whether the interrupt is this machine's, and clear it; then poll. */
bool ageha_device_interrupt(const struct ageha_device *device);

/* Return whether the last program was stopped, and why. */
bool ageha_device_error(const struct ageha_device *device, struct ageha_error *error);

/* Abandon what runs and forget errors and events; windows and the program stay. */
enum ageha_status ageha_device_reset(const struct ageha_device *device);

/* Return a register of 64 bits by the offset of its low half. */
uint64_t ageha_device_read64(const struct ageha_device *device, uint32_t offset);

/* Return a counter of the last program by its name in the register map, such as `cycles`. */
#define ageha_device_counter(device, name) \
    ageha_device_read64((device), (uint32_t)offsetof(ageha_t, name##_low))

#ifdef __cplusplus
}
#endif

#endif
