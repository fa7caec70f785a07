/*
 * Runs the C driver for tests/sw/test_c_driver.py.
 *
 *   c_driver open FILE...                             what is said of each program file
 *   c_driver registers FILE                           checks on registers that are plain memory
 *   c_driver run LIBRARY MODE (FILE INPUT OUTPUT WINDOW)...
 *                                                     programs, one after the other, on the
 *                                                     simulated machine; MODE: poll, interrupt
 *   c_driver fail LIBRARY MODE (FILE WINDOW OFFSET RESPONSE)...
 *                                                     likewise, with programs that may stop; the
 *                                                     memory answers so there unless it is zero
 *
 * INPUT is the whole window DATA before, OUTPUT a window after; an empty INPUT leaves it as loaded.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ageha_driver.h"

#define DATA 1u
#define MEMORY_BYTES (1u << 20)
#define MEMORY_ADDRESS 0x40000000u
#define WATCHDOG 100000u
#define POLLS 1000000u
#define CYCLES 10000000u
#define FAILURE_WATCHDOG 3000u
#define ARGUMENTS 4 /* Of one program on the command line. */

struct file {
    uint8_t *bytes;
    size_t size;
};

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static struct file read_file(const char *path)
{
    FILE *stream = fopen(path, "rb");
    if (!stream || fseek(stream, 0, SEEK_END))
        fail(path);
    struct file file = {NULL, (size_t)ftell(stream)};
    file.bytes = malloc(file.size + 1);
    rewind(stream);
    if (!file.bytes || fread(file.bytes, 1, file.size, stream) != file.size)
        fail(path);
    fclose(stream);
    return file;
}

static void write_file(const char *path, const uint8_t *bytes, size_t size)
{
    FILE *stream = fopen(path, "wb");
    if (!stream || fwrite(bytes, 1, size, stream) != size || fclose(stream))
        fail(path);
}

static void show(enum ageha_status status)
{
    printf("%s\n", ageha_status_text(status));
}

static int open_files(int count, char **paths)
{
    for (int place = 0; place < count; ++place) {
        struct file file = read_file(paths[place]);
        struct ageha_program program;
        show(ageha_program_open(&program, file.bytes, file.size));
        free(file.bytes);
    }
    return 0;
}

static void no_barrier(void *context)
{
    (void)context;
}

static void set(uint32_t *registers, size_t offset, uint32_t value)
{
    registers[offset / sizeof *registers] = value;
}

static int check_registers(const char *path)
{
    static uint32_t registers[sizeof(ageha_t) / sizeof(uint32_t)];
    static uint8_t memory[1u << 18];
    struct file file = read_file(path);
    struct ageha_program program;
    struct ageha_device device = {
        .registers = registers,
        .barrier = no_barrier,
        .memory = memory,
        .memory_bytes = AGEHA_WINDOW_ALIGNMENT,
    };
    show(ageha_program_open(&program, file.bytes, file.size));
    show(ageha_device_load(&device, &program));
    set(registers, offsetof(ageha_t, identity), AGEHA_MAGIC);
    show(ageha_device_load(&device, &program));
    set(registers, offsetof(ageha_t, version), AGEHA_ISA_VERSION);
    show(ageha_device_load(&device, &program));
    set(registers, offsetof(ageha_t, parameter_hash), AGEHA_PARAMETER_HASH);
    show(ageha_device_load(&device, &program));
    show(ageha_device_start(&device, 0));
    device.memory_bytes = sizeof memory;
    device.memory_address = AGEHA_WINDOW_ALIGNMENT / 2;
    show(ageha_device_load(&device, &program));
    device.memory_address = 0;
    show(ageha_device_load(&device, &program));
    show(ageha_device_start(&device, 0));
    show(ageha_device_poll(&device));
    show(ageha_device_wait(&device, 3));
    show(ageha_device_load(&device, &program));
    show(ageha_device_reset(&device));
    free(file.bytes);
    return 0;
}

/* The functions of verif/harness/interface.cpp. */
struct simulation {
    void *library;
    void *harness;
    void *(*create)(uint64_t, uint64_t);
    void (*destroy)(void *);
    void (*configure)(void *, const void *);
    uint8_t *(*memory)(void *);
    uint32_t (*read_register)(void *, uint32_t, uint32_t *);
    uint32_t (*write_register)(void *, uint32_t, uint32_t);
    uint32_t (*run)(void *, uint64_t);
    uint64_t (*violation_count)(void *);
    void (*add_fault)(void *, uint64_t, uint64_t, uint32_t, uint32_t, uint32_t);
    void (*clear_faults)(void *);
    unsigned barriers;
};

/* `MemorySettings` of verif/harness/settings.h. */
struct settings {
    uint32_t latency, beats_per_1024, stall_percent, outstanding, burst_beats;
    uint64_t seed;
};

static void find(void *library, const char *name, void *function, size_t size)
{
    void *symbol = dlsym(library, name);
    if (!symbol)
        fail(dlerror());
    memcpy(function, &symbol, size); /* ISO C has no cast from an object to a function. */
}

#define FIND(simulation, name) \
    find((simulation)->library, "ageha_" #name, &(simulation)->name, sizeof(simulation)->name)

static void open_simulation(struct simulation *simulation, const char *path)
{
    const struct settings settings = {20, 1024, 30, 4, AGEHA_AXI_BURST_BEATS, 7};
    simulation->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!simulation->library)
        fail(dlerror());
    FIND(simulation, create);
    FIND(simulation, destroy);
    FIND(simulation, configure);
    FIND(simulation, memory);
    FIND(simulation, read_register);
    FIND(simulation, write_register);
    FIND(simulation, run);
    FIND(simulation, violation_count);
    FIND(simulation, add_fault);
    FIND(simulation, clear_faults);
    simulation->harness = simulation->create(MEMORY_ADDRESS, MEMORY_BYTES);
    simulation->configure(simulation->harness, &settings);
}

static uint32_t read32(void *context, uint32_t offset)
{
    struct simulation *simulation = context;
    uint32_t value = 0;
    if (!simulation->read_register(simulation->harness, offset, &value))
        fail("a register does not answer a read");
    return value;
}

static void write32(void *context, uint32_t offset, uint32_t value)
{
    struct simulation *simulation = context;
    if (!simulation->write_register(simulation->harness, offset, value))
        fail("a register does not answer a write");
}

static void barrier(void *context)
{
    struct simulation *simulation = context;
    ++simulation->barriers;
}

static enum ageha_status finish(struct simulation *simulation, const struct ageha_device *device,
                                bool interrupt)
{
    if (!interrupt)
        return ageha_device_wait(device, POLLS);
    if (!simulation->run(simulation->harness, CYCLES))
        fail("no interrupt");
    if (!ageha_device_interrupt(device) || ageha_device_interrupt(device))
        fail("the interrupt was not pending, or was not cleared");
    if (simulation->run(simulation->harness, 10))
        fail("the interrupt is still high");
    return ageha_device_poll(device);
}

static void run_program(struct simulation *simulation, struct ageha_device *device, char **paths,
                        bool interrupt)
{
    struct file file = read_file(paths[0]);
    struct file input = read_file(paths[1]);
    struct ageha_program program;
    struct ageha_error error;
    enum ageha_status status = ageha_program_open(&program, file.bytes, file.size);
    if (status == AGEHA_STATUS_OK)
        status = ageha_device_load(device, &program);
    if (status != AGEHA_STATUS_OK)
        fail(ageha_status_text(status));
    if (input.size && input.size != device->windows[DATA].bytes)
        fail("the input is not as large as its window");
    memcpy(ageha_device_window(device, DATA), input.bytes, input.size);
    ageha_device_enable_interrupt(device, interrupt);
    if (ageha_device_start(device, WATCHDOG) != AGEHA_STATUS_OK)
        fail("the program does not start");
    if (ageha_device_start(device, WATCHDOG) != AGEHA_STATUS_BUSY)
        fail("the program has ended too early");
    status = finish(simulation, device, interrupt);
    show(status);
    if (ageha_device_error(device, &error) != (status == AGEHA_STATUS_STOPPED))
        fail("status and error registers contradict each other");
    printf("%s %" PRIu32 " %" PRIu64 "\n", error.name, error.index, error.address);
    printf("%" PRIu64 " %" PRIu64 "\n", ageha_device_counter(device, instructions),
           ageha_device_counter(device, dram_written_bytes));
    const uint32_t output = (uint32_t)strtoul(paths[3], NULL, 0);
    write_file(paths[2], ageha_device_window(device, output), device->windows[output].bytes);
    if (status == AGEHA_STATUS_STOPPED && ageha_device_reset(device) != AGEHA_STATUS_OK)
        fail("the soft reset does not end");
    free(input.bytes);
    free(file.bytes);
}

static void fail_program(struct simulation *simulation, struct ageha_device *device,
                         char **arguments, bool interrupt)
{
    struct file file = read_file(arguments[0]);
    const uint32_t window = (uint32_t)strtoul(arguments[1], NULL, 0);
    const uint32_t response = (uint32_t)strtoul(arguments[3], NULL, 0);
    struct ageha_program program;
    struct ageha_error error;
    enum ageha_status status = ageha_program_open(&program, file.bytes, file.size);
    if (status == AGEHA_STATUS_OK)
        status = ageha_device_load(device, &program);
    if (status != AGEHA_STATUS_OK)
        fail(ageha_status_text(status));
    if (response) {
        uint64_t place = MEMORY_ADDRESS + device->windows[window].offset;
        place += strtoul(arguments[2], NULL, 0);
        simulation->add_fault(simulation->harness, place, place + 1, 1, 1, response);
    }
    ageha_device_enable_interrupt(device, interrupt);
    if (ageha_device_start(device, FAILURE_WATCHDOG) != AGEHA_STATUS_OK)
        fail("the program does not start");
    show(finish(simulation, device, interrupt));
    (void)ageha_device_error(device, &error);
    printf("%s %" PRIu32 " %" PRIu64 "\n", error.name, error.index, error.address);
    if (ageha_device_reset(device) != AGEHA_STATUS_OK || ageha_device_error(device, &error))
        fail("the soft reset does not forget the error");
    simulation->clear_faults(simulation->harness);
    free(file.bytes);
}

typedef void action(struct simulation *, struct ageha_device *, char **, bool);

static int run_programs(action *act, const char *library, bool interrupt, int count, char **rest)
{
    struct simulation simulation = {0};
    open_simulation(&simulation, library);
    struct ageha_device device = {
        .read32 = read32,
        .write32 = write32,
        .barrier = barrier,
        .context = &simulation,
        .memory = simulation.memory(simulation.harness),
        .memory_address = MEMORY_ADDRESS,
        .memory_bytes = MEMORY_BYTES,
    };
    for (int place = 0; place + ARGUMENTS <= count; place += ARGUMENTS)
        act(&simulation, &device, rest + place, interrupt);
    if (ageha_device_window(&device, AGEHA_CONTROLLER_WINDOWS))
        fail("there is a window too many");
    if (simulation.barriers == 0)
        fail("the barrier was never called");
    if (simulation.violation_count(simulation.harness))
        fail("the machine has broken a rule of AXI");
    simulation.destroy(simulation.harness);
    return 0;
}

int main(int count, char **arguments)
{
    if (count > 2 && strcmp(arguments[1], "open") == 0)
        return open_files(count - 2, arguments + 2);
    if (count == 3 && strcmp(arguments[1], "registers") == 0)
        return check_registers(arguments[2]);
    if (count <= 4)
        fail("too few arguments");
    const bool interrupt = strcmp(arguments[3], "interrupt") == 0;
    if (strcmp(arguments[1], "run") == 0)
        return run_programs(run_program, arguments[2], interrupt, count - 4, arguments + 4);
    if (strcmp(arguments[1], "fail") == 0)
        return run_programs(fail_program, arguments[2], interrupt, count - 4, arguments + 4);
    fail("unknown arguments");
    return 1;
}
