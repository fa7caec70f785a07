// A small, fast, seeded source of stalls.
#pragma once

#include <cstdint>

// Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8 (2003).
class Random {
public:
    explicit Random(uint64_t seed = 1) : state_(seed * 0x9E3779B97F4A7C15u | 1) {}

    // True in `percent` of all calls.
    bool chance(unsigned percent) {
        if (percent == 0) return false;
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return (state_ >> 32) % 100 < percent;
    }

private:
    uint64_t state_;
};
