// How the memory behaves; the layout is known to verif/devices/library.py.
#pragma once

#include <cstdint>

struct MemorySettings {
    uint32_t latency;        // Cycles from an address to its first beat, or from last data to B.
    uint32_t beats_per_1024; // Beats a direction in 1024 cycles, at most 1024.
    uint32_t stall_percent;  // Cycles in which each channel is held back, each by its own chance.
    uint32_t outstanding;    // Bursts a direction that the memory takes before it answers.
    uint32_t burst_beats;    // Longest burst that the machine may send.
    uint64_t seed;
};
