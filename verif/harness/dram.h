// The bytes behind the AXI port, and the answers that addresses get.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

enum Response : uint8_t { OKAY = 0, SLVERR = 2, DECERR = 3 };

// Addresses from `start` to below `end` that answer with an error.
struct FaultRange {
    uint64_t start;
    uint64_t end;
    bool on_read;
    bool on_write;
    Response response;
};

class Dram {
public:
    Dram(uint64_t base, uint64_t size) : base_(base), bytes_(size) {}

    uint8_t* data() { return bytes_.data(); }
    void add_fault(const FaultRange& range) { faults_.push_back(range); }
    void clear_faults() { faults_.clear(); }

    // The answer to an access of `size` bytes; outside the memory nothing decodes.
    Response response(uint64_t address, uint64_t size, bool is_write) const {
        for (const FaultRange& range : faults_) {
            const bool applies = is_write ? range.on_write : range.on_read;
            if (applies && address < range.end && address + size > range.start) {
                return range.response;
            }
        }
        return contains(address, size) ? OKAY : DECERR;
    }

    // Both need an address whose response is OKAY or that lies in the memory.
    void read(uint64_t address, void* target, uint64_t size) const {
        if (contains(address, size)) {
            std::memcpy(target, bytes_.data() + (address - base_), size);
        } else {
            std::memset(target, 0xEE, size);
        }
    }

    void write(uint64_t address, const uint8_t* source, uint64_t strobes, uint64_t size) {
        uint8_t* target = bytes_.data() + (address - base_);
        const uint64_t all = size == 64 ? ~0ull : (1ull << size) - 1;
        if (strobes == all) {
            std::memcpy(target, source, size);
            return;
        }
        for (uint64_t byte = 0; byte < size; ++byte) {
            if (strobes >> byte & 1) target[byte] = source[byte];
        }
    }

private:
    bool contains(uint64_t address, uint64_t size) const {
        return address >= base_ && size <= bytes_.size() && address - base_ <= bytes_.size() - size;
    }

    uint64_t base_;
    std::vector<uint8_t> bytes_;
    std::vector<FaultRange> faults_;
};
