// Rules of ARM IHI 0022 for the master's channels, checked every cycle.
#pragma once

#include <cstdint>
#include <cstring>

#include "ports.h"
#include "violations.h"

struct AddressPayload {
    uint64_t address;
    uint8_t id;
    uint8_t length;  // Beats less one.
    uint8_t size;
    uint8_t burst;

    bool operator==(const AddressPayload&) const = default;
    unsigned beats() const { return length + 1u; }
};

struct WritePayload {
    Beat beat;
    uint64_t strobes;
    bool last;

    bool operator==(const WritePayload& other) const {
        return std::memcmp(&beat, &other.beat, BEAT_BYTES) == 0 && strobes == other.strobes &&
               last == other.last;
    }
};

// Payload and valid must not change until ready (A3.2.1).
template <typename Payload>
class StableChannel {
public:
    StableChannel(const char* dropped, const char* changed) : dropped_(dropped), changed_(changed) {}

    void check(uint64_t cycle, bool valid, bool ready, const Payload& payload, Violations& report) {
        if (waiting_) {
            if (!valid) {
                report.report(cycle, dropped_);
            } else if (!(payload == payload_)) {
                report.report(cycle, changed_);
            }
        }
        waiting_ = valid && !ready;
        if (waiting_) payload_ = payload;
    }

    bool waiting() const { return waiting_; }
    void reset() { waiting_ = false; }

private:
    const char* dropped_;
    const char* changed_;
    bool waiting_ = false;
    Payload payload_{};
};

// What a burst of this machine must look like (A3.4.1).
inline void check_address(uint64_t cycle, const AddressPayload& burst, unsigned burst_beats,
                          Violations& report) {
    constexpr uint64_t BOUNDARY = 4096;
    constexpr uint8_t INCR = 1;
    const uint64_t last = burst.address + uint64_t(burst.beats()) * BEAT_BYTES - 1;
    if (burst.burst != INCR) report.report(cycle, "a burst is not INCR");
    if ((1u << burst.size) != BEAT_BYTES) report.report(cycle, "beats of a burst are not full");
    if (burst.address % BEAT_BYTES) report.report(cycle, "an address is no multiple of a beat");
    if (burst.address / BOUNDARY != last / BOUNDARY) report.report(cycle, "a burst crosses 4 KiB");
    if (burst.beats() > burst_beats) report.report(cycle, "a burst is longer than configured");
}
