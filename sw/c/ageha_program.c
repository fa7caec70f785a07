/* The program file; docs/programs.md has its layout. */
#include "ageha_program.h"

#define FILE_VERSION 1u
#define FILE_HEADER_BYTES 64u
#define CHECKSUM_BYTES 4u

static const uint8_t FILE_MAGIC[] = {'A', 'G', 'E', 'H', 'A', 'P', 'R', 'G'};

static uint64_t take(const uint8_t **cursor, unsigned bytes)
{
    uint64_t value = ageha_extract(*cursor, 0, 8 * bytes);
    *cursor += bytes;
    return value;
}

static uint32_t take32(const uint8_t **cursor)
{
    return (uint32_t)take(cursor, 4);
}

static uint64_t take64(const uint8_t **cursor)
{
    return take(cursor, 8);
}

/* Four bits a step: a table of 16 words instead of one of 256. */
uint32_t ageha_checksum(const uint8_t *data, size_t size)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u,
        0x4db26158u, 0x5005713cu, 0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
        0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu,
    };
    uint32_t sum = 0xffffffffu;
    for (size_t place = 0; place < size; ++place) {
        sum ^= data[place];
        sum = (sum >> 4) ^ table[sum & 15];
        sum = (sum >> 4) ^ table[sum & 15];
    }
    return ~sum;
}

struct ageha_window_record ageha_window_record(const struct ageha_program *program, uint32_t index)
{
    const uint8_t *cursor = program->windows + (size_t)index * AGEHA_WINDOW_RECORD_BYTES;
    struct ageha_window_record record;
    record.flags = take32(&cursor);
    (void)take32(&cursor);
    record.bytes = take64(&cursor);
    return record;
}

struct ageha_segment_record ageha_segment_record(const struct ageha_program *program,
                                                 uint32_t index)
{
    const uint8_t *cursor = program->segments + (size_t)index * AGEHA_SEGMENT_RECORD_BYTES;
    struct ageha_segment_record record;
    record.window = take32(&cursor);
    (void)take32(&cursor);
    record.offset = take64(&cursor);
    record.bytes = take64(&cursor);
    return record;
}

static bool in_window(const struct ageha_program *program, uint32_t window, uint64_t offset,
                      uint64_t bytes)
{
    if (window >= program->window_count)
        return false;
    uint64_t limit = ageha_window_record(program, window).bytes;
    return offset <= limit && bytes <= limit - offset;
}

static bool segments_fit(const struct ageha_program *program)
{
    size_t left = program->data_bytes;
    for (uint32_t index = 0; index < program->segment_count; ++index) {
        struct ageha_segment_record record = ageha_segment_record(program, index);
        if (record.bytes > left || !in_window(program, record.window, record.offset, record.bytes))
            return false;
        left -= (size_t)record.bytes;
    }
    return true;
}

static bool has_magic(const uint8_t *file, size_t size)
{
    if (size < sizeof FILE_MAGIC)
        return false;
    for (size_t place = 0; place < sizeof FILE_MAGIC; ++place)
        if (file[place] != FILE_MAGIC[place])
            return false;
    return true;
}

/* Find the parts in a body whose checksum is right. */
static enum ageha_status find_parts(struct ageha_program *program, const uint8_t *body,
                                    uint64_t size)
{
    uint64_t code = (uint64_t)program->instructions * AGEHA_INSTRUCTION_BYTES;
    uint64_t segments = (uint64_t)program->segment_count * AGEHA_SEGMENT_RECORD_BYTES;
    uint64_t windows = (uint64_t)program->window_count * AGEHA_WINDOW_RECORD_BYTES;
    if (program->instructions == 0 ||
        program->instructions > AGEHA__PROGRAM_LENGTH__INSTRUCTIONS_bm ||
        program->window_count > AGEHA_CONTROLLER_WINDOWS || code + segments + windows > size)
        return AGEHA_STATUS_DAMAGED;
    program->code = body;
    program->segments = program->code + (size_t)code;
    program->windows = program->segments + (size_t)segments;
    program->data = program->windows + (size_t)windows;
    program->data_bytes = (size_t)(size - code - segments - windows);
    bool fits = program->code_offset % AGEHA_INSTRUCTION_BYTES == 0 &&
                in_window(program, program->code_window, program->code_offset,
                          AGEHA_INSTRUCTION_BYTES + code) &&
                segments_fit(program);
    return fits ? AGEHA_STATUS_OK : AGEHA_STATUS_DAMAGED;
}

enum ageha_status ageha_program_open(struct ageha_program *program, const void *file, size_t size)
{
    const uint8_t *bytes = file;
    if (!has_magic(bytes, size))
        return AGEHA_STATUS_NO_PROGRAM;
    if (size < FILE_HEADER_BYTES)
        return AGEHA_STATUS_TRUNCATED;

    const uint8_t *cursor = bytes + sizeof FILE_MAGIC;
    uint32_t file_version = take32(&cursor);
    uint32_t isa_version = take32(&cursor);
    uint32_t parameter_hash = take32(&cursor);
    program->instructions = take32(&cursor);
    program->segment_count = take32(&cursor);
    program->code_window = take32(&cursor);
    program->code_offset = take64(&cursor);
    uint64_t body_bytes = take64(&cursor);
    program->window_count = take32(&cursor);
    (void)take32(&cursor);
    uint32_t body_checksum = take32(&cursor);
    uint32_t header_checksum = take32(&cursor);

    if (ageha_checksum(bytes, FILE_HEADER_BYTES - CHECKSUM_BYTES) != header_checksum)
        return AGEHA_STATUS_DAMAGED;
    if (file_version != FILE_VERSION)
        return AGEHA_STATUS_FILE_VERSION;
    if (isa_version != AGEHA_ISA_VERSION)
        return AGEHA_STATUS_PROGRAM_VERSION;
    if (size - FILE_HEADER_BYTES < body_bytes)
        return AGEHA_STATUS_TRUNCATED;
    if (size - FILE_HEADER_BYTES > body_bytes)
        return AGEHA_STATUS_DAMAGED;
    if (ageha_checksum(cursor, (size_t)body_bytes) != body_checksum)
        return AGEHA_STATUS_DAMAGED;
    if (parameter_hash != AGEHA_PARAMETER_HASH)
        return AGEHA_STATUS_PROGRAM_PARAMETERS;
    if (program->window_count == 0)
        return AGEHA_STATUS_NO_WINDOWS;
    return find_parts(program, cursor, body_bytes);
}
