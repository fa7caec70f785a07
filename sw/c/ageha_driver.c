/* Registers and memory of a device. All offsets and masks are those of the generated headers. */
#include "ageha_driver.h"

#include "ageha_program.h"

#define OFFSET(name) ((uint32_t)offsetof(ageha_t, name))

#if AGEHA_CONTROLLER_WINDOWS > 1
#define WINDOW_STRIDE (OFFSET(window1_base_low) - OFFSET(window0_base_low))
#else
#define WINDOW_STRIDE 0u
#endif

#define WINDOW_OFFSET(name, index) (OFFSET(window0_##name) + WINDOW_STRIDE * (index))

/* Reads after which a soft reset has failed; the machine needs one burst of the bus. */
#define RESET_POLLS 100000u

static uint32_t read32(const struct ageha_device *device, uint32_t offset)
{
    if (device->registers)
        return device->registers[offset / sizeof(uint32_t)];
    return device->read32(device->context, offset);
}

static void write32(const struct ageha_device *device, uint32_t offset, uint32_t value)
{
    if (device->registers)
        device->registers[offset / sizeof(uint32_t)] = value;
    else
        device->write32(device->context, offset, value);
}

static void write64(const struct ageha_device *device, uint32_t offset, uint64_t value)
{
    write32(device, offset, (uint32_t)value);
    write32(device, offset + (uint32_t)sizeof(uint32_t), (uint32_t)(value >> 32));
}

uint64_t ageha_device_read64(const struct ageha_device *device, uint32_t offset)
{
    uint64_t low = read32(device, offset);
    return low | (uint64_t)read32(device, offset + (uint32_t)sizeof(uint32_t)) << 32;
}

const char *ageha_status_text(enum ageha_status status)
{
    switch (status) {
    case AGEHA_STATUS_OK:
        return "all is well";
    case AGEHA_STATUS_RUNNING:
        return "the program is running";
    case AGEHA_STATUS_STOPPED:
        return "the machine has stopped the program";
    case AGEHA_STATUS_TIMEOUT:
        return "the machine does not answer in time";
    case AGEHA_STATUS_BUSY:
        return "a program is running already";
    case AGEHA_STATUS_NOT_LOADED:
        return "no program is loaded";
    case AGEHA_STATUS_NO_DEVICE:
        return "the registers are not those of an accelerator";
    case AGEHA_STATUS_DEVICE_VERSION:
        return "the machine has another instruction set";
    case AGEHA_STATUS_DEVICE_PARAMETERS:
        return "the machine has other parameters";
    case AGEHA_STATUS_MEMORY:
        return "the memory is too small or misaligned";
    case AGEHA_STATUS_NO_PROGRAM:
        return "the file is no program";
    case AGEHA_STATUS_FILE_VERSION:
        return "the file has another version";
    case AGEHA_STATUS_PROGRAM_VERSION:
        return "the program is for another instruction set";
    case AGEHA_STATUS_PROGRAM_PARAMETERS:
        return "the program is for other parameters";
    case AGEHA_STATUS_TRUNCATED:
        return "the file is truncated";
    case AGEHA_STATUS_DAMAGED:
        return "the file is damaged";
    case AGEHA_STATUS_NO_WINDOWS:
        return "the file has no table of windows";
    }
    return "unknown status";
}

enum ageha_status ageha_device_identify(const struct ageha_device *device)
{
    if (read32(device, OFFSET(identity)) != AGEHA_MAGIC)
        return AGEHA_STATUS_NO_DEVICE;
    if (read32(device, OFFSET(version)) != AGEHA_ISA_VERSION)
        return AGEHA_STATUS_DEVICE_VERSION;
    if (read32(device, OFFSET(parameter_hash)) != AGEHA_PARAMETER_HASH)
        return AGEHA_STATUS_DEVICE_PARAMETERS;
    return AGEHA_STATUS_OK;
}

static bool is_running(const struct ageha_device *device)
{
    return read32(device, OFFSET(control)) & AGEHA__CONTROL__START_bm;
}

/* Choose a place for each window; the device changes only if all fit. */
static bool place_windows(struct ageha_device *device, const struct ageha_program *program)
{
    struct ageha_window windows[AGEHA_CONTROLLER_WINDOWS];
    size_t end = 0;
    if (device->memory_address % AGEHA_WINDOW_ALIGNMENT)
        return false;
    for (uint32_t index = 0; index < AGEHA_CONTROLLER_WINDOWS; ++index) {
        uint64_t bytes = 0;
        if (index < program->window_count)
            bytes = ageha_window_record(program, index).bytes;
        size_t padding = (size_t)(0 - end) % AGEHA_WINDOW_ALIGNMENT;
        if (bytes && (padding > device->memory_bytes - end ||
                      bytes > device->memory_bytes - end - padding))
            return false;
        windows[index].offset = bytes ? end + padding : 0;
        windows[index].bytes = (size_t)bytes;
        if (bytes)
            end += padding + (size_t)bytes;
    }
    for (uint32_t index = 0; index < AGEHA_CONTROLLER_WINDOWS; ++index)
        device->windows[index] = windows[index];
    return true;
}

static void open_windows(const struct ageha_device *device, const struct ageha_program *program)
{
    for (uint32_t index = 0; index < AGEHA_CONTROLLER_WINDOWS; ++index) {
        const struct ageha_window *window = &device->windows[index];
        bool is_open = window->bytes != 0;
        uint64_t base = is_open ? device->memory_address + window->offset : 0;
        uint32_t flags = is_open ? ageha_window_record(program, index).flags : 0;
        write64(device, WINDOW_OFFSET(base_low, index), base);
        write64(device, WINDOW_OFFSET(size_low, index), window->bytes);
        write32(device, WINDOW_OFFSET(flags, index), flags);
    }
}

static void copy(uint8_t *target, const uint8_t *source, size_t bytes)
{
    for (size_t place = 0; place < bytes; ++place)
        target[place] = source[place];
}

static void write_code(const struct ageha_device *device, const struct ageha_program *program)
{
    size_t bytes = (size_t)program->instructions * AGEHA_INSTRUCTION_BYTES;
    const struct ageha_program_header header = {
        .magic = AGEHA_MAGIC,
        .version = AGEHA_ISA_VERSION,
        .parameter_hash = AGEHA_PARAMETER_HASH,
        .instructions = program->instructions,
        .checksum = ageha_checksum(program->code, bytes),
    };
    uint8_t *target =
        ageha_device_window(device, program->code_window) + (size_t)program->code_offset;
    ageha_program_header_pack(&header, target);
    copy(target + AGEHA_INSTRUCTION_BYTES, program->code, bytes);
}

static void write_segments(const struct ageha_device *device, const struct ageha_program *program)
{
    const uint8_t *data = program->data;
    for (uint32_t index = 0; index < program->segment_count; ++index) {
        struct ageha_segment_record record = ageha_segment_record(program, index);
        uint8_t *window = ageha_device_window(device, record.window);
        if (record.bytes)
            copy(window + (size_t)record.offset, data, (size_t)record.bytes);
        data += (size_t)record.bytes;
    }
}

enum ageha_status ageha_device_load(struct ageha_device *device,
                                    const struct ageha_program *program)
{
    enum ageha_status status = ageha_device_identify(device);
    if (status != AGEHA_STATUS_OK)
        return status;
    if (is_running(device))
        return AGEHA_STATUS_BUSY;
    if (!place_windows(device, program))
        return AGEHA_STATUS_MEMORY;
    write_code(device, program);
    write_segments(device, program);
    open_windows(device, program);
    /* Offset and window, in the two halves of the address. */
    write32(device, OFFSET(program_address_low), (uint32_t)program->code_offset);
    write32(device, OFFSET(program_address_high),
            (uint32_t)(program->code_offset >> 32) |
                program->code_window << AGEHA__PROGRAM_ADDRESS_HIGH__WINDOW_bp);
    write32(device, OFFSET(program_length), program->instructions);
    device->instructions = program->instructions;
    return AGEHA_STATUS_OK;
}

uint8_t *ageha_device_window(const struct ageha_device *device, uint32_t index)
{
    if (index >= AGEHA_CONTROLLER_WINDOWS || device->windows[index].bytes == 0)
        return NULL;
    return device->memory + device->windows[index].offset;
}

enum ageha_status ageha_device_start(const struct ageha_device *device, uint32_t watchdog)
{
    if (device->instructions == 0)
        return AGEHA_STATUS_NOT_LOADED;
    if (is_running(device))
        return AGEHA_STATUS_BUSY;
    write32(device, OFFSET(watchdog), watchdog);
    device->barrier(device->context);
    write32(device, OFFSET(control), AGEHA__CONTROL__START_bm);
    return AGEHA_STATUS_OK;
}

enum ageha_status ageha_device_poll(const struct ageha_device *device)
{
    if (is_running(device))
        return AGEHA_STATUS_RUNNING;
    device->barrier(device->context);
    bool stopped = read32(device, OFFSET(error_code)) != AGEHA_ERROR_CODE_NONE;
    return stopped ? AGEHA_STATUS_STOPPED : AGEHA_STATUS_OK;
}

enum ageha_status ageha_device_wait(const struct ageha_device *device, uint64_t polls)
{
    for (uint64_t poll = 0; poll < polls; ++poll) {
        enum ageha_status status = ageha_device_poll(device);
        if (status != AGEHA_STATUS_RUNNING)
            return status;
    }
    return AGEHA_STATUS_TIMEOUT;
}

void ageha_device_enable_interrupt(const struct ageha_device *device, bool enable)
{
    write32(device, OFFSET(interrupt_enable), enable ? AGEHA__INTERRUPT_ENABLE__DONE_bm : 0);
    (void)ageha_device_interrupt(device);
    write32(device, OFFSET(global_interrupt_enable),
            enable ? AGEHA__GLOBAL_INTERRUPT_ENABLE__ENABLE_bm : 0);
}

bool ageha_device_interrupt(const struct ageha_device *device)
{
    /* Writing a one toggles: only what is set may be written. */
    uint32_t events = read32(device, OFFSET(interrupt_status));
    if (events)
        write32(device, OFFSET(interrupt_status), events);
    return events != 0;
}

bool ageha_device_error(const struct ageha_device *device, struct ageha_error *error)
{
    error->code = read32(device, OFFSET(error_code));
    error->index = read32(device, OFFSET(error_index));
    error->address = ageha_device_read64(device, OFFSET(error_address_low));
    error->name = ageha_error_code_name(error->code);
    return error->code != AGEHA_ERROR_CODE_NONE;
}

enum ageha_status ageha_device_reset(const struct ageha_device *device)
{
    write32(device, OFFSET(soft_reset), AGEHA__SOFT_RESET__REQUEST_bm);
    for (uint32_t poll = 0; poll < RESET_POLLS; ++poll)
        if (!(read32(device, OFFSET(soft_reset)) & AGEHA__SOFT_RESET__REQUEST_bm))
            return AGEHA_STATUS_OK;
    return AGEHA_STATUS_TIMEOUT;
}
