// When each unit took and finished each instruction, for timelines.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <vector>

// The layout is known to verif/devices/library.py.
struct TraceEvent {
    uint32_t unit;
    uint32_t index;
    uint64_t accepted;
    uint64_t done;
};

// Pairs the instructions that one unit takes with its `done`s, which come in the same order.
class UnitTrace {
public:
    explicit UnitTrace(uint32_t unit) : unit_(unit) {}

    void observe(uint64_t cycle, bool accepted, uint32_t index, bool done,
                 std::vector<TraceEvent>& events) {
        if (accepted) waiting_.push_back({unit_, index, cycle, 0});
        if (done && !waiting_.empty()) {
            waiting_.front().done = cycle;
            events.push_back(waiting_.front());
            waiting_.pop_front();
        }
    }

    void clear() { waiting_.clear(); }

private:
    uint32_t unit_;
    std::deque<TraceEvent> waiting_;
};

// The layout of the port is `hw.controller.trace_layout`: for each unit, lowest bit first, one bit
// when it takes an instruction, 16 bits of its index, and one bit when it finishes one.
class Trace {
public:
    // Called every cycle, so the cycles without an event take only three comparisons.
    template <typename Port>
    void observe(const Port& port, uint64_t cycle) {
        const bool quiet = !((port[0] & QUIET[0]) | (port[1] & QUIET[1]) | (port[2] & QUIET[2]));
        if (quiet) return;
        for (unsigned unit = 0; unit < UNITS; ++unit) {
            const unsigned low = unit * BITS;
            const uint64_t pair = port[low / 32] | uint64_t(port[std::min(low / 32 + 1, 2u)]) << 32;
            const uint32_t bits = pair >> low % 32;
            units_[unit].observe(cycle, bits & 1, bits >> 1 & 0xFFFF, bits >> DONE & 1, events_);
        }
    }

    const std::vector<TraceEvent>& events() const { return events_; }

    void clear() {
        events_.clear();
        for (UnitTrace& unit : units_) unit.clear();
    }

private:
    static constexpr unsigned UNITS = 4;
    static constexpr unsigned BITS = 18;
    static constexpr unsigned DONE = 17;

    // The words of the port, all but the indices.
    static constexpr uint32_t QUIET[3] = {
        1u << 0 | 1u << 17 | 1u << 18,
        1u << (35 - 32) | 1u << (36 - 32) | 1u << (53 - 32) | 1u << (54 - 32),
        1u << (71 - 64),
    };

    UnitTrace units_[UNITS] = {UnitTrace{0}, UnitTrace{1}, UnitTrace{2}, UnitTrace{3}};
    std::vector<TraceEvent> events_;
};
