// When each unit took and finished each instruction, for timelines.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "Vtop.h"

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

// The ports are those of `hw.controller.TraceSignature`.
class Trace {
public:
    void observe(const Vtop& top, uint64_t cycle) {
        load_.observe(cycle, top.trace_load_accepted, top.trace_load_index, top.trace_load_done,
                      events_);
        array_.observe(cycle, top.trace_array_accepted, top.trace_array_index,
                       top.trace_array_done, events_);
        vector_.observe(cycle, top.trace_vector_accepted, top.trace_vector_index,
                        top.trace_vector_done, events_);
        store_.observe(cycle, top.trace_store_accepted, top.trace_store_index,
                       top.trace_store_done, events_);
        butterfly_.observe(cycle, top.trace_butterfly_accepted, top.trace_butterfly_index,
                           top.trace_butterfly_done, events_);
    }

    const std::vector<TraceEvent>& events() const { return events_; }

    void clear() {
        events_.clear();
        for (UnitTrace* unit : {&load_, &array_, &vector_, &store_, &butterfly_}) unit->clear();
    }

private:
    UnitTrace load_{0};
    UnitTrace array_{1};
    UnitTrace vector_{2};
    UnitTrace store_{3};
    UnitTrace butterfly_{4};
    std::vector<TraceEvent> events_;
};
