// The accelerator with its clock, its register port and its memory.
#pragma once

#include <cstdint>
#include <memory>

#include "axi_memory.h"
#include "dram.h"
#include "settings.h"
#include "trace.h"
#include "violations.h"

class Harness {
public:
    Harness(uint64_t memory_base, uint64_t memory_bytes);
    ~Harness();

    // Back to the state after power-up, but for the contents of the memory and the fault ranges.
    void reset();
    void configure(const MemorySettings& settings);

    // Both return false if the register port does not answer in `REGISTER_LIMIT` cycles.
    bool read_register(uint32_t offset, uint32_t& value);
    bool write_register(uint32_t offset, uint32_t value);

    // Runs the clock until the interrupt is high; false after `cycles` cycles without.
    bool run(uint64_t cycles);

    // Toggles the clock `cycles` times and does nothing else: the speed to compare with.
    void toggle(uint64_t cycles);

    uint64_t cycle() const { return cycle_; }
    Dram& dram() { return dram_; }
    Trace& trace() { return trace_; }
    const Violations& violations() const { return violations_; }

private:
    static constexpr unsigned RESET_CYCLES = 4;
    static constexpr unsigned REGISTER_LIMIT = 10000;

    void settle();
    void advance();

    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Vtop> top_;
    Dram dram_;
    ReadPort reads_;
    WritePort writes_;
    Trace trace_;
    Violations violations_;
    uint64_t cycle_ = 0;
};
