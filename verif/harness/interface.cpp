// The C functions that verif/devices/library.py calls.

#include <algorithm>

#include "harness.h"

extern "C" {

Harness* ageha_create(uint64_t memory_base, uint64_t memory_bytes) {
    return new Harness(memory_base, memory_bytes);
}

void ageha_destroy(Harness* harness) { delete harness; }

void ageha_reset(Harness* harness) { harness->reset(); }

void ageha_configure(Harness* harness, const MemorySettings* settings) {
    harness->configure(*settings);
}

uint8_t* ageha_memory(Harness* harness) { return harness->dram().data(); }

uint32_t ageha_beat_bytes() { return BEAT_BYTES; }

void ageha_add_fault(Harness* harness, uint64_t start, uint64_t end, uint32_t on_read,
                     uint32_t on_write, uint32_t response) {
    harness->dram().add_fault({start, end, on_read != 0, on_write != 0, Response(response)});
}

void ageha_clear_faults(Harness* harness) { harness->dram().clear_faults(); }

uint32_t ageha_read_register(Harness* harness, uint32_t offset, uint32_t* value) {
    return harness->read_register(offset, *value);
}

uint32_t ageha_write_register(Harness* harness, uint32_t offset, uint32_t value) {
    return harness->write_register(offset, value);
}

uint32_t ageha_run(Harness* harness, uint64_t cycles) { return harness->run(cycles); }

void ageha_toggle(Harness* harness, uint64_t cycles) { harness->toggle(cycles); }

uint64_t ageha_cycle(const Harness* harness) { return harness->cycle(); }

uint64_t ageha_violation_count(const Harness* harness) { return harness->violations().count(); }

uint64_t ageha_violation_lines(const Harness* harness) {
    return harness->violations().lines().size();
}

const char* ageha_violation(const Harness* harness, uint64_t place) {
    return harness->violations().lines()[place].c_str();
}

uint64_t ageha_event_count(Harness* harness) { return harness->trace().events().size(); }

void ageha_events(Harness* harness, TraceEvent* target) {
    const auto& events = harness->trace().events();
    std::copy(events.begin(), events.end(), target);
}

}  // extern "C"
