/*
 * A program on a processor without operating system, by polling.
 *
 *   ageha generate --preset base -o rtl      writes ageha_isa.h and ageha_registers.h
 *   ageha compile ... -o prog                writes the program file and its header; here they are
 *                                            model.prog and model.h, with the prefix MODEL
 *
 * The program file is linked in, for instance with
 *   ld -r -b binary -o model.o model.prog    which gives the two symbols below
 */
#include "ageha_driver.h"
#include "model.h"

/* Where registers and memory are: the same for processor and accelerator. */
#ifndef ACCELERATOR_ADDRESS
#define ACCELERATOR_ADDRESS 0x43c00000u
#endif
#ifndef MEMORY_ADDRESS
#define MEMORY_ADDRESS 0x10000000u
#endif
#ifndef MEMORY_BYTES
#define MEMORY_BYTES (16u << 20)
#endif

#define WATCHDOG_CYCLES 1000000u
#define POLLS 100000000u

extern const uint8_t _binary_model_prog_start[];
extern const uint8_t _binary_model_prog_end[];

/* The full barrier of the compiler; the memory is not cached here. */
static void barrier(void *context)
{
    (void)context;
    __sync_synchronize();
}

static struct ageha_device device = {
    .registers = (volatile uint32_t *)ACCELERATOR_ADDRESS,
    .barrier = barrier,
    .memory = (uint8_t *)MEMORY_ADDRESS,
    .memory_address = MEMORY_ADDRESS,
    .memory_bytes = MEMORY_BYTES,
};

/* Load the program once; weights stay in the memory. */
enum ageha_status model_load(void)
{
    struct ageha_program program;
    size_t size = (size_t)(_binary_model_prog_end - _binary_model_prog_start);
    enum ageha_status status = ageha_program_open(&program, _binary_model_prog_start, size);
    if (status != AGEHA_STATUS_OK)
        return status;
    return ageha_device_load(&device, &program);
}

/* Run it on [ROWS, COLUMNS] numbers; `error` says why if STOPPED is returned. */
enum ageha_status model_run(MODEL_INPUT_TYPE input[MODEL_INPUT_ROWS][MODEL_INPUT_COLUMNS],
                            MODEL_OUTPUT_TYPE output[MODEL_OUTPUT_ROWS][MODEL_OUTPUT_COLUMNS],
                            struct ageha_error *error)
{
    uint8_t *place = ageha_device_window(&device, MODEL_INPUT_WINDOW);
    if (!place)
        return AGEHA_STATUS_NOT_LOADED;
    place += MODEL_INPUT_OFFSET;
    for (size_t row = 0; row < MODEL_INPUT_ROWS; ++row, place += MODEL_INPUT_STRIDE)
        for (size_t column = 0; column < MODEL_INPUT_COLUMNS; ++column)
            ((MODEL_INPUT_TYPE *)place)[column] = input[row][column];

    enum ageha_status status = ageha_device_start(&device, WATCHDOG_CYCLES);
    if (status == AGEHA_STATUS_OK)
        status = ageha_device_wait(&device, POLLS);
    if (status == AGEHA_STATUS_STOPPED)
        (void)ageha_device_error(&device, error);
    if (status == AGEHA_STATUS_STOPPED || status == AGEHA_STATUS_TIMEOUT)
        (void)ageha_device_reset(&device);
    if (status != AGEHA_STATUS_OK)
        return status;

    place = ageha_device_window(&device, MODEL_OUTPUT_WINDOW) + MODEL_OUTPUT_OFFSET;
    for (size_t row = 0; row < MODEL_OUTPUT_ROWS; ++row, place += MODEL_OUTPUT_STRIDE)
        for (size_t column = 0; column < MODEL_OUTPUT_COLUMNS; ++column)
            output[row][column] = ((const MODEL_OUTPUT_TYPE *)place)[column];
    return AGEHA_STATUS_OK;
}
