// A board seen from its pins: a clock, a button, and a serial line that carries bytes.
//
// The functions with the prefix board_ are what verif/devices/board.py calls. A bit takes a whole
// number of cycles on both sides.

#include <cstdint>
#include <deque>
#include <memory>

#include "Vtop.h"
#include "verilated.h"

namespace {

constexpr unsigned FRAME_BITS = 10;
constexpr unsigned DATA_BITS = 8;

// Sends bytes to the board.
class Sender {
public:
    explicit Sender(uint32_t bit_cycles) : bit_cycles_(bit_cycles) {}

    void push(uint8_t byte) { bytes_.push_back(byte); }
    bool idle() const { return bytes_.empty() && left_ == 0; }

    bool level() {
        if (left_ == 0) {
            if (bytes_.empty()) return true;
            frame_ = 1u << (DATA_BITS + 1) | unsigned(bytes_.front()) << 1;
            bytes_.pop_front();
            left_ = FRAME_BITS * bit_cycles_;
        }
        const unsigned bit = FRAME_BITS - 1 - (left_ - 1) / bit_cycles_;
        --left_;
        return frame_ >> bit & 1;
    }

private:
    uint32_t bit_cycles_;
    std::deque<uint8_t> bytes_;
    unsigned frame_ = 0;
    uint32_t left_ = 0;
};

// Receives bytes from the board: one sample in the middle of each bit.
class Receiver {
public:
    explicit Receiver(uint32_t bit_cycles) : bit_cycles_(bit_cycles) {}

    void sample(bool level) {
        if (!active_) {
            active_ = !level;
            cycle_ = 0;
            frame_ = 0;
        }
        if (!active_) return;
        if (cycle_ % bit_cycles_ == bit_cycles_ / 2) {
            const unsigned bit = cycle_ / bit_cycles_;
            frame_ |= unsigned(level) << bit;
            if (bit == FRAME_BITS - 1) finish(level);
        }
        ++cycle_;
    }

    std::deque<uint8_t>& bytes() { return bytes_; }
    uint64_t framing_errors() const { return framing_errors_; }

private:
    void finish(bool stop) {
        active_ = false;
        if (stop)
            bytes_.push_back(uint8_t(frame_ >> 1));
        else
            ++framing_errors_;
    }

    uint32_t bit_cycles_;
    std::deque<uint8_t> bytes_;
    bool active_ = false;
    uint32_t cycle_ = 0;
    unsigned frame_ = 0;
    uint64_t framing_errors_ = 0;
};

struct Board {
    explicit Board(uint32_t bit_cycles)
        : context(new VerilatedContext), sender(bit_cycles), receiver(bit_cycles) {
        context->randReset(0);
        top.reset(new Vtop(context.get()));
        top->button = 0;
        top->serial_in = 1;
    }

    ~Board() { top->final(); }

    void step() {
        top->serial_in = sender.level();
        top->clock = 0;
        top->eval();
        top->clock = 1;
        top->eval();
        receiver.sample(top->serial_out);
        ++cycle;
    }

    std::unique_ptr<VerilatedContext> context;
    std::unique_ptr<Vtop> top;
    Sender sender;
    Receiver receiver;
    uint64_t cycle = 0;
};

}  // namespace

extern "C" {

Board* board_create(uint32_t bit_cycles) { return new Board(bit_cycles); }

void board_destroy(Board* board) { delete board; }

// Queues bytes for the line.
void board_send(Board* board, const uint8_t* bytes, uint64_t size) {
    for (uint64_t place = 0; place < size; ++place) board->sender.push(bytes[place]);
}

// Runs until everything is sent and so many bytes have come, or none of it for `patience` cycles.
void board_run(Board* board, uint64_t wanted, uint64_t patience) {
    uint64_t waited = 0;
    size_t seen = board->receiver.bytes().size();
    while (board->receiver.bytes().size() < wanted && waited < patience) {
        board->step();
        const size_t found = board->receiver.bytes().size();
        waited = board->sender.idle() && found == seen ? waited + 1 : 0;
        seen = found;
    }
}

// Takes at most `size` bytes that have come; returns how many.
uint64_t board_receive(Board* board, uint8_t* target, uint64_t size) {
    std::deque<uint8_t>& bytes = board->receiver.bytes();
    uint64_t count = 0;
    for (; count < size && !bytes.empty(); ++count, bytes.pop_front()) target[count] = bytes.front();
    return count;
}

// Runs so many cycles with the button pressed or not.
void board_press(Board* board, uint32_t pressed, uint64_t cycles) {
    board->top->button = pressed;
    for (uint64_t i = 0; i < cycles; ++i) board->step();
}

// The lights: bit 0 busy, 1 done, 2 error.
uint32_t board_lights(const Board* board) { return board->top->lights; }

uint64_t board_cycle(const Board* board) { return board->cycle; }

uint64_t board_framing_errors(const Board* board) { return board->receiver.framing_errors(); }

}  // extern "C"
