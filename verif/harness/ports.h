// Sizes and copies of the ports of the Verilated top, whatever their width.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "Vtop.h"

using ReadData = std::remove_reference_t<decltype(std::declval<Vtop&>().m_axi_rdata)>;
using WriteData = std::remove_reference_t<decltype(std::declval<Vtop&>().m_axi_wdata)>;

// Verilator keeps 64 bits in one integer and more in an array of 32-bit words; both are little
// endian, so a beat is its bytes.
constexpr unsigned BEAT_BYTES = sizeof(ReadData);
static_assert(sizeof(WriteData) == BEAT_BYTES, "reads and writes must be of one width");
static_assert(BEAT_BYTES >= 8 && BEAT_BYTES <= 64, "a beat has 8 to 64 bytes");

struct Beat {
    uint8_t bytes[BEAT_BYTES];
};

inline void drive(ReadData& port, const Beat& beat) { std::memcpy(&port, &beat, BEAT_BYTES); }

inline Beat sample(const WriteData& port) {
    Beat beat;
    std::memcpy(&beat, &port, BEAT_BYTES);
    return beat;
}

// Verilator renames what some compilers reserve.
inline bool interrupt(const Vtop& top) { return top.__SYM__interrupt; }
