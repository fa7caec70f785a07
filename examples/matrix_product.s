# Int16 Y[6, 8] = A[6, 24] times B[8, 24] transposed, for the preset tiny.

# Operands to scratchpad words 0 and 64, their scales to words 128 and 160.
# Pitches are 1 modulo the number of banks, so that rows and columns are read at full rate.
LOAD rows=6 row_words=3 dram_address=1:0 dram_stride=24 address=0 pitch=5
LOAD rows=8 row_words=3 dram_address=1:0x100 dram_stride=24 address=64 pitch=5
LOAD rows=1 row_words=6 dram_address=1:0x200 address=128 pitch=1
LOAD signal=0x1 rows=1 row_words=8 dram_address=1:0x240 address=160 pitch=1

# The array waits for semaphore 0, which the last load signals.
MATMUL wait=0x1 signal=0x2 m=6 n=8 k=24 fraction=8 a_address=0 a_pitch=5 b_address=64 b_pitch=5 row_scale_address=128 column_scale_address=160 y_address=192 y_pitch=5

STORE wait=0x2 rows=6 row_words=2 dram_address=1:0x300 dram_stride=16 address=192 pitch=5
END
