/* elf32 - a 32-bit program: getpid and socketcall(socket) by the i386 entry, then exit(0). Where it ends with 0, the
   32-bit system calls were to be had. */
    .globl _start
    .text
_start:
    movl $20, %eax
    int $0x80
    movl $102, %eax
    movl $1, %ebx
    movl $arguments, %ecx
    int $0x80
    movl $1, %eax
    xorl %ebx, %ebx
    int $0x80
    .data
arguments:
    .long 38, 5, 0
    .section .note.GNU-stack,"",@progbits
