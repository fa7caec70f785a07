/* What the driver needs of the program file beyond `ageha_driver.h`; private to the driver. */
#ifndef AGEHA_PROGRAM_H
#define AGEHA_PROGRAM_H

#include "ageha_driver.h"

#define AGEHA_SEGMENT_RECORD_BYTES 24u
#define AGEHA_WINDOW_RECORD_BYTES 16u

struct ageha_window_record {
    uint32_t flags; /* As in the register. */
    uint64_t bytes;
};

struct ageha_segment_record {
    uint32_t window;
    uint64_t offset; /* In the window. */
    uint64_t bytes;
};

/* Return an entry of the table of windows; `index` must be below `window_count`. */
struct ageha_window_record ageha_window_record(const struct ageha_program *program,
                                               uint32_t index);

/* Return an entry of the table of segments; `index` must be below `segment_count`. */
struct ageha_segment_record ageha_segment_record(const struct ageha_program *program,
                                                 uint32_t index);

/* Return the CRC-32 of IEEE 802.3. */
uint32_t ageha_checksum(const uint8_t *data, size_t size);

#endif
