#include "harness.h"

#include "verilated.h"

Harness::Harness(uint64_t memory_base, uint64_t memory_bytes)
    : context_(new VerilatedContext), dram_(memory_base, memory_bytes) {
    // Registers without a reset value start at zero, so that two runs are alike.
    context_->randReset(0);
    top_.reset(new Vtop(context_.get()));
    configure({1, 1024, 0, 16, 256, 1});
    reset();
}

Harness::~Harness() { top_->final(); }

void Harness::configure(const MemorySettings& settings) {
    reads_.configure(settings);
    writes_.configure(settings);
}

void Harness::reset() {
    Vtop& top = *top_;
    top.s_axi_awvalid = 0;
    top.s_axi_wvalid = 0;
    top.s_axi_bready = 0;
    top.s_axi_arvalid = 0;
    top.s_axi_rready = 0;
    top.s_axi_awprot = 0;
    top.s_axi_arprot = 0;
    top.s_axi_wstrb = 0xF;
    reads_.reset(top);
    writes_.reset(top);
    top.rst = 1;
    toggle(RESET_CYCLES);
    top.rst = 0;
    trace_.clear();
}

void Harness::toggle(uint64_t cycles) {
    Vtop& top = *top_;
    for (uint64_t i = 0; i < cycles; ++i) {
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
    }
    cycle_ += cycles;
}

// Lets the inputs of this cycle reach the outputs, and looks at both.
inline void Harness::settle() {
    Vtop& top = *top_;
    top.clk = 0;
    top.eval();
    reads_.observe(top, cycle_, violations_);
    writes_.observe(top, cycle_, violations_);
    trace_.observe(top, cycle_);
}

// Raises the clock and sets the inputs of the next cycle.
inline void Harness::advance() {
    Vtop& top = *top_;
    top.clk = 1;
    top.eval();
    ++cycle_;
    reads_.drive(top, cycle_, dram_);
    writes_.drive(top, cycle_, dram_);
}

bool Harness::run(uint64_t cycles) {
    for (uint64_t i = 0; i < cycles; ++i) {
        settle();
        const bool stopped = interrupt(*top_);
        advance();
        if (stopped) return true;
    }
    return false;
}

bool Harness::read_register(uint32_t offset, uint32_t& value) {
    Vtop& top = *top_;
    top.s_axi_araddr = offset;
    top.s_axi_arvalid = 1;
    top.s_axi_rready = 1;
    for (unsigned i = 0; i < REGISTER_LIMIT; ++i) {
        settle();
        const bool accepted = top.s_axi_arvalid && top.s_axi_arready;
        const bool answered = top.s_axi_rvalid;
        value = top.s_axi_rdata;
        advance();
        if (accepted) top.s_axi_arvalid = 0;
        if (answered) {
            top.s_axi_rready = 0;
            return true;
        }
    }
    return false;
}

bool Harness::write_register(uint32_t offset, uint32_t value) {
    Vtop& top = *top_;
    top.s_axi_awaddr = offset;
    top.s_axi_wdata = value;
    top.s_axi_awvalid = 1;
    top.s_axi_wvalid = 1;
    top.s_axi_bready = 1;
    for (unsigned i = 0; i < REGISTER_LIMIT; ++i) {
        settle();
        const bool address_accepted = top.s_axi_awvalid && top.s_axi_awready;
        const bool data_accepted = top.s_axi_wvalid && top.s_axi_wready;
        const bool answered = top.s_axi_bvalid;
        advance();
        if (address_accepted) top.s_axi_awvalid = 0;
        if (data_accepted) top.s_axi_wvalid = 0;
        if (answered) {
            top.s_axi_bready = 0;
            return true;
        }
    }
    return false;
}
