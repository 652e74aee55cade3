# What -msave-restore calls: one copy of saving and restoring registers s0..s11 and ra, instead of one in each function.
# A function says how many it uses; its frame grows by 16 bytes for each four. Returns to t0, as the RISC-V ABI has it.

    .text
    .globl __riscv_save_12, __riscv_save_11, __riscv_save_10, __riscv_save_9, __riscv_save_8, __riscv_save_7
    .globl __riscv_save_6, __riscv_save_5, __riscv_save_4, __riscv_save_3, __riscv_save_2, __riscv_save_1
    .globl __riscv_save_0
    .globl __riscv_restore_12, __riscv_restore_11, __riscv_restore_10, __riscv_restore_9, __riscv_restore_8
    .globl __riscv_restore_7, __riscv_restore_6, __riscv_restore_5, __riscv_restore_4, __riscv_restore_3
    .globl __riscv_restore_2, __riscv_restore_1, __riscv_restore_0

__riscv_save_12:
    addi sp, sp, -16
    sw s11, 12(sp)
__riscv_save_11:
__riscv_save_10:
__riscv_save_9:
__riscv_save_8:
    addi sp, sp, -16
    sw s10, 0(sp)
    sw s9, 4(sp)
    sw s8, 8(sp)
    sw s7, 12(sp)
__riscv_save_7:
__riscv_save_6:
__riscv_save_5:
__riscv_save_4:
    addi sp, sp, -16
    sw s6, 0(sp)
    sw s5, 4(sp)
    sw s4, 8(sp)
    sw s3, 12(sp)
__riscv_save_3:
__riscv_save_2:
__riscv_save_1:
__riscv_save_0:
    addi sp, sp, -16
    sw s2, 0(sp)
    sw s1, 4(sp)
    sw s0, 8(sp)
    sw ra, 12(sp)
    jr t0

__riscv_restore_12:
    li t1, 64
    lw s11, 60(sp)
    j 1f
__riscv_restore_11:
__riscv_restore_10:
__riscv_restore_9:
__riscv_restore_8:
    li t1, 48
1:
    lw s10, 32(sp)
    lw s9, 36(sp)
    lw s8, 40(sp)
    lw s7, 44(sp)
    j 2f
__riscv_restore_7:
__riscv_restore_6:
__riscv_restore_5:
__riscv_restore_4:
    li t1, 32
2:
    lw s6, 16(sp)
    lw s5, 20(sp)
    lw s4, 24(sp)
    lw s3, 28(sp)
    j 3f
__riscv_restore_3:
__riscv_restore_2:
__riscv_restore_1:
__riscv_restore_0:
    li t1, 16
3:
    lw s2, 0(sp)
    lw s1, 4(sp)
    lw s0, 8(sp)
    lw ra, 12(sp)
    add sp, sp, t1
    ret
