/* From reset to main, and the program file as a constant. */
    .section .text.start, "ax"
    .global _start
_start:
    la sp, stack_end
    la a0, data_begin
    la a1, data_end
    la a2, data_image
1:  bgeu a0, a1, 2f
    lw a3, 0(a2)
    sw a3, 0(a0)
    addi a0, a0, 4
    addi a2, a2, 4
    j 1b
2:  la a0, bss_begin
    la a1, bss_end
3:  bgeu a0, a1, 4f
    sw zero, 0(a0)
    addi a0, a0, 4
    j 3b
4:  call main
5:  j 5b

    .section .rodata.program, "a"
    .balign 8
    .global _binary_model_prog_start
    .global _binary_model_prog_end
_binary_model_prog_start:
    .incbin "model.prog"
_binary_model_prog_end:
