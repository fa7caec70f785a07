// An AXI4 memory with latency, limited bandwidth and random stalls on all five channels.
//
// Per cycle the harness settles the design with the clock low, calls `observe`, raises the clock
// and calls `drive`, which sets the inputs of the next cycle. Answers come in order. Written data
// becomes visible when its response is sent, as late as the specification allows.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "dram.h"
#include "ports.h"
#include "protocol.h"
#include "random.h"
#include "settings.h"
#include "violations.h"

// Grants at most `beats_per_1024` beats in 1024 cycles.
class Bandwidth {
public:
    void set(uint32_t beats_per_1024) {
        step_ = beats_per_1024;
        credit_ = ONE;
    }
    void tick() { credit_ = credit_ + step_ > CAP ? CAP : credit_ + step_; }
    bool available() const { return credit_ >= ONE; }
    void spend() { credit_ -= ONE; }

private:
    static constexpr uint32_t ONE = 1024;
    static constexpr uint32_t CAP = 2 * ONE;
    uint32_t step_ = ONE;
    uint32_t credit_ = ONE;
};

class ReadPort {
public:
    void configure(const MemorySettings& settings);
    void reset(Vtop& top);
    void observe(Vtop& top, uint64_t cycle, Violations& violations);
    void drive(Vtop& top, uint64_t cycle, const Dram& dram);

private:
    struct Burst {
        AddressPayload address;
        uint64_t due;
    };

    MemorySettings settings_{};
    Random random_;
    Bandwidth bandwidth_;
    std::deque<Burst> bursts_;
    unsigned beat_ = 0;
    bool taken_ = false;
    StableChannel<AddressPayload> address_{"ARVALID fell before ARREADY",
                                           "AR changed before ARREADY"};
};

class WritePort {
public:
    void configure(const MemorySettings& settings);
    void reset(Vtop& top);
    void observe(Vtop& top, uint64_t cycle, Violations& violations);
    void drive(Vtop& top, uint64_t cycle, Dram& dram);

private:
    struct Burst {
        AddressPayload address;
        std::vector<WritePayload> data;
        uint64_t due = 0;
        Response response = OKAY;
    };

    void take_data(const WritePayload& payload, uint64_t cycle, Violations& violations);
    static void commit(Burst& burst, Dram& dram);

    MemorySettings settings_{};
    Random random_;
    Bandwidth bandwidth_;
    std::deque<Burst> filling_;
    std::deque<Burst> answering_;
    bool answered_ = false;
    StableChannel<AddressPayload> address_{"AWVALID fell before AWREADY",
                                           "AW changed before AWREADY"};
    StableChannel<WritePayload> data_{"WVALID fell before WREADY", "W changed before WREADY"};
};
