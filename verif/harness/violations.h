// What the machine did that the AXI specification forbids.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

class Violations {
public:
    void report(uint64_t cycle, const char* text) {
        ++count_;
        if (lines_.size() >= KEPT) return;
        lines_.push_back("cycle " + std::to_string(cycle) + ": " + text);
    }

    uint64_t count() const { return count_; }
    const std::vector<std::string>& lines() const { return lines_; }

private:
    static constexpr size_t KEPT = 100;
    uint64_t count_ = 0;
    std::vector<std::string> lines_;
};
