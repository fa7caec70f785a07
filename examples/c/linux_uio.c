/*
 * A program on Linux, by interrupt, through the UIO driver of the kernel (uio_pdrv_genirq).
 *
 *   linux_uio UIO PROGRAM INPUT OUTPUT       such as: linux_uio uio0 model.prog x.raw y.raw
 *
 * Map 0 of the device is the registers; map 1 is memory that both sides see without caches, such
 * as a reserved region named in the device tree. INPUT and OUTPUT hold rows of numbers without
 * gaps; `ageha compile` writes model.h, which knows where they go.
 */
#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ageha_driver.h"
#include "model.h"

#define WATCHDOG_CYCLES 1000000u
#define TIMEOUT_MILLISECONDS 10000
#define INPUT_ROW_BYTES (MODEL_INPUT_COLUMNS * sizeof(MODEL_INPUT_TYPE))
#define OUTPUT_ROW_BYTES (MODEL_OUTPUT_COLUMNS * sizeof(MODEL_OUTPUT_TYPE))

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void check(enum ageha_status status)
{
    if (status == AGEHA_STATUS_OK)
        return;
    fprintf(stderr, "%s\n", ageha_status_text(status));
    exit(1);
}

static void barrier(void *context)
{
    (void)context;
    __sync_synchronize();
}

/* Return a number of a map, such as its size, from sysfs. */
static uint64_t map_number(const char *uio, int map, const char *name)
{
    char path[128];
    uint64_t number;
    (void)snprintf(path, sizeof path, "/sys/class/uio/%s/maps/map%d/%s", uio, map, name);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%" SCNx64, &number) != 1)
        fail(path);
    (void)fclose(file);
    return number;
}

/* UIO chooses the map by a multiple of the page size. */
static void *map_memory(int descriptor, int map, size_t bytes)
{
    off_t offset = map * sysconf(_SC_PAGESIZE);
    void *place = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, offset);
    if (place == MAP_FAILED)
        fail("mmap");
    return place;
}

static void open_device(struct ageha_device *device, int descriptor, const char *uio)
{
    device->registers = map_memory(descriptor, 0, (size_t)map_number(uio, 0, "size"));
    device->memory_bytes = (size_t)map_number(uio, 1, "size");
    device->memory_address = map_number(uio, 1, "addr");
    device->memory = map_memory(descriptor, 1, device->memory_bytes);
    device->barrier = barrier;
}

static void load(struct ageha_device *device, const char *path)
{
    struct ageha_program program;
    struct stat status;
    int descriptor = open(path, O_RDONLY);
    if (descriptor < 0 || fstat(descriptor, &status))
        fail(path);
    size_t size = (size_t)status.st_size;
    void *file = mmap(NULL, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (file == MAP_FAILED)
        fail(path);
    check(ageha_program_open(&program, file, size));
    check(ageha_device_load(device, &program));
    (void)munmap(file, size);
    (void)close(descriptor);
}

static void write_input(const struct ageha_device *device, const char *path)
{
    uint8_t *place = ageha_device_window(device, MODEL_INPUT_WINDOW) + MODEL_INPUT_OFFSET;
    FILE *file = fopen(path, "rb");
    if (!file)
        fail(path);
    for (int row = 0; row < MODEL_INPUT_ROWS; ++row, place += MODEL_INPUT_STRIDE)
        if (fread(place, 1, INPUT_ROW_BYTES, file) != INPUT_ROW_BYTES)
            fail(path);
    (void)fclose(file);
}

static void read_output(const struct ageha_device *device, const char *path)
{
    const uint8_t *place = ageha_device_window(device, MODEL_OUTPUT_WINDOW) + MODEL_OUTPUT_OFFSET;
    FILE *file = fopen(path, "wb");
    if (!file)
        fail(path);
    for (int row = 0; row < MODEL_OUTPUT_ROWS; ++row, place += MODEL_OUTPUT_STRIDE)
        if (fwrite(place, 1, OUTPUT_ROW_BYTES, file) != OUTPUT_ROW_BYTES)
            fail(path);
    if (fclose(file))
        fail(path);
}

/* Wait for the interrupt of this device; another on the same line does not count. */
static enum ageha_status wait_for_end(const struct ageha_device *device, int descriptor)
{
    struct pollfd events = {.fd = descriptor, .events = POLLIN};
    uint32_t number = 1;
    for (;;) {
        int ready = poll(&events, 1, TIMEOUT_MILLISECONDS);
        if (ready == 0)
            return AGEHA_STATUS_TIMEOUT;
        if (ready < 0 || read(descriptor, &number, sizeof number) != sizeof number)
            fail("interrupt");
        if (ageha_device_interrupt(device))
            return ageha_device_poll(device);
        number = 1; /* Written to the descriptor, it enables the interrupt again. */
        if (write(descriptor, &number, sizeof number) != sizeof number)
            fail("interrupt");
    }
}

static void run(const struct ageha_device *device, int descriptor)
{
    const uint32_t enable = 1;
    struct ageha_error error;
    ageha_device_enable_interrupt(device, true);
    if (write(descriptor, &enable, sizeof enable) != sizeof enable)
        fail("interrupt");
    check(ageha_device_start(device, WATCHDOG_CYCLES));
    enum ageha_status status = wait_for_end(device, descriptor);
    ageha_device_enable_interrupt(device, false);
    if (ageha_device_error(device, &error))
        fprintf(stderr, "%s in instruction %" PRIu32 " at 0x%" PRIx64 "\n", error.name,
                error.index, error.address);
    if (status != AGEHA_STATUS_OK)
        (void)ageha_device_reset(device);
    check(status);
}

int main(int count, char **arguments)
{
    struct ageha_device device = {0};
    char path[64];
    if (count != 5) {
        fprintf(stderr, "usage: %s UIO PROGRAM INPUT OUTPUT\n", arguments[0]);
        return 2;
    }
    (void)snprintf(path, sizeof path, "/dev/%s", arguments[1]);
    int descriptor = open(path, O_RDWR);
    if (descriptor < 0)
        fail(path);
    open_device(&device, descriptor, arguments[1]);
    load(&device, arguments[2]);
    write_input(&device, arguments[3]);
    run(&device, descriptor);
    read_output(&device, arguments[4]);
    printf("%" PRIu64 " cycles\n", ageha_device_counter(&device, cycles));
    return 0;
}
