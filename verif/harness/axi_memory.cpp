#include "axi_memory.h"

#include <algorithm>

namespace {

AddressPayload read_address(const Vtop& top) {
    return {top.m_axi_araddr, top.m_axi_arid, top.m_axi_arlen, top.m_axi_arsize, top.m_axi_arburst};
}

AddressPayload write_address(const Vtop& top) {
    return {top.m_axi_awaddr, top.m_axi_awid, top.m_axi_awlen, top.m_axi_awsize, top.m_axi_awburst};
}

}  // namespace

void ReadPort::configure(const MemorySettings& settings) {
    settings_ = settings;
    random_ = Random(2 * settings.seed);
    bandwidth_.set(settings.beats_per_1024);
}

void ReadPort::reset(Vtop& top) {
    bursts_.clear();
    beat_ = 0;
    taken_ = false;
    address_.reset();
    top.m_axi_arready = 0;
    top.m_axi_rvalid = 0;
}

void ReadPort::observe(Vtop& top, uint64_t cycle, Violations& violations) {
    taken_ = top.m_axi_rvalid && top.m_axi_rready;
    if (!top.m_axi_arvalid && !address_.waiting()) return;
    const AddressPayload burst = read_address(top);
    address_.check(cycle, top.m_axi_arvalid, top.m_axi_arready, burst, violations);
    if (top.m_axi_arvalid && top.m_axi_arready) {
        check_address(cycle, burst, settings_.burst_beats, violations);
        bursts_.push_back({burst, cycle + settings_.latency});
    }
}

void ReadPort::drive(Vtop& top, uint64_t cycle, const Dram& dram) {
    bandwidth_.tick();
    if (taken_) {
        top.m_axi_rvalid = 0;
        if (++beat_ == bursts_.front().address.beats()) {
            bursts_.pop_front();
            beat_ = 0;
        }
    }
    const bool may_send = !top.m_axi_rvalid && !bursts_.empty() && bursts_.front().due <= cycle &&
                          bandwidth_.available();
    if (may_send && !random_.chance(settings_.stall_percent)) {
        const AddressPayload& burst = bursts_.front().address;
        const uint64_t address = burst.address + uint64_t(beat_) * BEAT_BYTES;
        Beat beat;
        dram.read(address, &beat, BEAT_BYTES);
        ::drive(top.m_axi_rdata, beat);
        top.m_axi_rresp = dram.response(address, BEAT_BYTES, false);
        top.m_axi_rid = burst.id;
        top.m_axi_rlast = beat_ + 1 == burst.beats();
        top.m_axi_rvalid = 1;
        bandwidth_.spend();
    }
    const bool has_room = bursts_.size() < settings_.outstanding;
    top.m_axi_arready = has_room && !random_.chance(settings_.stall_percent);
}

void WritePort::configure(const MemorySettings& settings) {
    settings_ = settings;
    random_ = Random(2 * settings.seed + 1);
    bandwidth_.set(settings.beats_per_1024);
}

void WritePort::reset(Vtop& top) {
    filling_.clear();
    answering_.clear();
    answered_ = false;
    address_.reset();
    data_.reset();
    top.m_axi_awready = 0;
    top.m_axi_wready = 0;
    top.m_axi_bvalid = 0;
}

void WritePort::observe(Vtop& top, uint64_t cycle, Violations& violations) {
    answered_ = top.m_axi_bvalid && top.m_axi_bready;
    if (top.m_axi_awvalid || address_.waiting()) {
        const AddressPayload burst = write_address(top);
        address_.check(cycle, top.m_axi_awvalid, top.m_axi_awready, burst, violations);
        if (top.m_axi_awvalid && top.m_axi_awready) {
            check_address(cycle, burst, settings_.burst_beats, violations);
            filling_.push_back({burst, {}});
        }
    }
    if (top.m_axi_wvalid || data_.waiting()) {
        const WritePayload data{sample(top.m_axi_wdata), top.m_axi_wstrb, bool(top.m_axi_wlast)};
        data_.check(cycle, top.m_axi_wvalid, top.m_axi_wready, data, violations);
        if (top.m_axi_wvalid && top.m_axi_wready) take_data(data, cycle, violations);
    }
}

void WritePort::take_data(const WritePayload& payload, uint64_t cycle, Violations& violations) {
    bandwidth_.spend();
    Burst& burst = filling_.front();
    burst.data.push_back(payload);
    const bool is_last = burst.data.size() == burst.address.beats();
    if (payload.last != is_last) violations.report(cycle, "WLAST is not on the last beat");
    if (!is_last) return;
    burst.due = cycle + settings_.latency;
    answering_.push_back(std::move(burst));
    filling_.pop_front();
}

void WritePort::commit(Burst& burst, Dram& dram) {
    uint64_t address = burst.address.address;
    for (const WritePayload& payload : burst.data) {
        const Response response = dram.response(address, BEAT_BYTES, true);
        if (response == OKAY) {
            dram.write(address, payload.beat.bytes, payload.strobes, BEAT_BYTES);
        }
        burst.response = std::max(burst.response, response);
        address += BEAT_BYTES;
    }
}

void WritePort::drive(Vtop& top, uint64_t cycle, Dram& dram) {
    bandwidth_.tick();
    if (answered_) {
        top.m_axi_bvalid = 0;
        answering_.pop_front();
    }
    const bool may_answer =
        !top.m_axi_bvalid && !answering_.empty() && answering_.front().due <= cycle;
    if (may_answer && !random_.chance(settings_.stall_percent)) {
        Burst& burst = answering_.front();
        commit(burst, dram);
        top.m_axi_bid = burst.address.id;
        top.m_axi_bresp = burst.response;
        top.m_axi_bvalid = 1;
    }
    const bool has_room = filling_.size() + answering_.size() < settings_.outstanding;
    top.m_axi_awready = has_room && !random_.chance(settings_.stall_percent);
    const bool takes_data = !filling_.empty() && bandwidth_.available();
    top.m_axi_wready = takes_data && !random_.chance(settings_.stall_percent);
}
