/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe's guest: ring-0 code of the kind a kernel runs before its first line of output.
 *
 * Loaded at GUEST_BASE, entered in flat 32-bit protected mode without paging, as PVH enters a kernel. Port
 * GUEST_PORT_STEP gets the number of each step as it begins, GUEST_PORT_WRONG the number of a step whose
 * result is wrong, GUEST_PORT_ALIVE the word ALIVE at the end. Step numbers: enum accel_step in accel-probe.h.
 * Who may use it: accel-probe-x86_64.c, as bytes. It never runs on the host.
 */
#define GUEST_BASE 0x8000
#define PORT_STEP 0xf4
#define PORT_WRONG 0xf5
#define PORT_ALIVE 0xf6
#define PML4 0x1000
#define PDPT 0x2000
#define PD 0x3000
#define PD_HIGH 0x4000
#define PT 0x5000
#define TSS 0x6000
#define STACK 0x7ff0
#define STACK_TRAP 0x23ff0
#define PAGE_A 0x20000
#define PAGE_B 0x21000
#define PAGE_XSAVE 0x24000 /* 16 KiB: AMX state needs more than two pages */
#define MMIO 0x180000
#define APIC 0xfee00000
#define A(label) (GUEST_BASE + (label) - accel_guest_start)
#define STEP(n) movb $n, %bl; movb $n, %al; outb %al, $PORT_STEP
#define GATE(label, type) .quad (A(label)) + (0x08 << 16) + (type << 32), 0

	.section .rodata.accel_guest, "a"
	.globl accel_guest_start, accel_guest_end
	.balign 16
	.code32
accel_guest_start:
	STEP(1) /* page tables, then paging and long mode, by the guest's own hand */
	movl $PML4, %edi
	xorl %eax, %eax
	movl $(TSS + 0x1000 - PML4) / 4, %ecx
	cld
	rep stosl
	movl $(PDPT + 7), PML4
	movl $(PD + 7), PDPT
	movl $(PD_HIGH + 7), PDPT + 24
	movl $(PT + 7), PD
	movl $(APIC + 0x9b), PD_HIGH + 8 * 0x1f7
	movl $PT, %edi
	movl $7, %eax
	movl $512, %ecx
1:	movl %eax, (%edi)
	addl $0x1000, %eax
	addl $8, %edi
	loop 1b
	movl $STACK_TRAP, TSS + 4
	lgdt A(gdtr)
	movl %cr4, %eax
	orl $0x620, %eax
	movl %eax, %cr4
	movl $PML4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x901, %eax
	wrmsr
	movl %cr0, %eax
	andl $~0xc, %eax
	orl $0x80010022, %eax
	movl %eax, %cr0
	ljmp $0x08, $A(long_mode)

	.code64
long_mode:
	STEP(2) /* segments, task register, interrupt table */
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movl $STACK, %esp
	lidt A(idtr)
	movl $0x30, %eax
	ltr %ax
	pushq $0x08
	leaq 1f(%rip), %rax
	pushq %rax
	lretq
1:
	STEP(3) /* exceptions taken and returned from: #UD, #BP, #PF with the page mapped by the handler */
	xorl %r12d, %r12d
	ud2
	int3
	cmpl $0x101, %r12d
	jne wrong
	movq $0, PT + 8 * (PAGE_A >> 12)
	invlpg PAGE_A
	movl $0x600df00d, PAGE_A
	cmpl $0x10101, %r12d
	jne wrong

	STEP(4) /* model specific registers, as a kernel sets them */
	movl $0xc0000101, %ecx
	movl $PAGE_B, %eax
	xorl %edx, %edx
	wrmsr
	movl $0x7e57, PAGE_B
	cmpl $0x7e57, %gs:0
	jne wrong
	swapgs
	swapgs
	movl $0xc0000102, %ecx
	rdmsr
	testl %eax, %eax
	jnz wrong
	movl $0xc0000081, %ecx /* STAR: kernel 0x08, user 0x1b */
	xorl %eax, %eax
	movl $0x001b0008, %edx
	wrmsr
	movl $0xc0000082, %ecx /* LSTAR */
	movl $A(entry_syscall), %eax
	xorl %edx, %edx
	wrmsr
	rdmsr
	cmpl $A(entry_syscall), %eax
	jne wrong
	movl $0xc0000084, %ecx /* SFMASK */
	movl $0x200, %eax
	wrmsr
	rdtsc
	movl %eax, %esi
	rdtsc
	pushfq
	popq %rax

	STEP(5) /* CPUID: what the host offers decides what is tried below */
	pushq %rbx
	xorl %eax, %eax
	cpuid
	movl %eax, %r8d
	movl $1, %eax
	xorl %ecx, %ecx
	cpuid
	movl %ecx, %r13d
	xorl %r14d, %r14d
	cmpl $7, %r8d
	jb 1f
	movl $7, %eax
	xorl %ecx, %ecx
	cpuid
	movl %ebx, %r14d
1:	popq %rbx

	STEP(6) /* a changed page table entry is seen after INVLPG and after a reload of CR3 */
	movl $0x11111111, PAGE_A
	movl $0x22222222, PAGE_B
	movq $(PAGE_B + 7), PT + 8 * (PAGE_A >> 12)
	invlpg PAGE_A
	cmpl $0x22222222, PAGE_A
	jne wrong
	movq $(PAGE_A + 7), PT + 8 * (PAGE_A >> 12)
	movq %cr3, %rax
	movq %rax, %cr3
	cmpl $0x11111111, PAGE_A
	jne wrong
	movq %cr4, %rax
	orq $0x80, %rax
	movq %rax, %cr4
	movq %cr0, %rax
	movq %rax, %cr0
	clts

	STEP(7) /* string instructions */
	movl $PAGE_A, %edi
	movq $0x0123456789abcdef, %rax
	movl $512, %ecx
	rep stosq
	movl $PAGE_A, %esi
	movl $PAGE_B, %edi
	movl $4096, %ecx
	rep movsb
	movl $PAGE_A, %esi
	movl $PAGE_B, %edi
	movl $512, %ecx
	repe cmpsq
	jne wrong
	movl $0xcdef, %eax
	cmpw PAGE_B + 4088, %ax
	jne wrong

	STEP(8) /* atomics, bit counting, byte swaps */
	movl $1, PAGE_A
	movl $2, %eax
	lock xaddl %eax, PAGE_A
	cmpl $1, %eax
	jne wrong
	movl $3, %eax
	movl $9, %ecx
	lock cmpxchgl %ecx, PAGE_A
	jne wrong
	lock btsq $39, PAGE_A
	jc wrong
	testl $(1 << 13), %r13d
	jz 1f
	movl $9, %eax
	movl $0x100, %edx
	movq 8 + PAGE_A, %rdx
	movq PAGE_A, %rax
	pushq %rbx
	xorl %ebx, %ebx
	xorl %ecx, %ecx
	lock cmpxchg16b PAGE_A
	popq %rbx
	jne wrong
1:	testl $(1 << 23), %r13d
	jz 1f
	movq $0xff00ff, %rax
	popcntq %rax, %rax
	cmpl $16, %eax
	jne wrong
1:
	STEP(9) /* floating point unit, SSE, XSAVE */
	fninit
	fnstcw PAGE_A
	movl $0x40490fdb, PAGE_A
	movss PAGE_A, %xmm0
	addss %xmm0, %xmm0
	movss %xmm0, PAGE_B
	cmpl $0x40c90fdb, PAGE_B
	jne wrong
	fxsave PAGE_XSAVE
	fxrstor PAGE_XSAVE
	testl $(1 << 26), %r13d
	jz 1f
	movq %cr4, %rax
	orq $0x40000, %rax
	movq %rax, %cr4
	xorl %ecx, %ecx
	xgetbv
	movl $3, %eax
	testl $(1 << 28), %r13d
	jz 2f
	movl $7, %eax
2:	xorl %edx, %edx
	xsetbv
	movl $PAGE_XSAVE, %edi
	movl %eax, %r15d
	xorl %eax, %eax
	movl $1024, %ecx
	rep stosl
	movl %r15d, %eax
	xorl %edx, %edx
	xsave PAGE_XSAVE
	pxor %xmm0, %xmm0
	movl %r15d, %eax
	xorl %edx, %edx
	xrstor PAGE_XSAVE
	movss %xmm0, PAGE_B
	cmpl $0x40c90fdb, PAGE_B
	jne wrong
1:
	STEP(10) /* VEX-coded integer instructions (BMI1, BMI2): compilers and decompressors use them */
	testl $(1 << 3), %r14d
	jz 1f
	movl $0xf0f0, %eax
	movl $0xff00, %ecx
	andn %ecx, %eax, %edx
	cmpl $0x0f00, %edx
	jne wrong
	blsr %eax, %edx
	cmpl $0xf0e0, %edx
	jne wrong
	tzcnt %eax, %edx
	cmpl $4, %edx
	jne wrong
1:	testl $(1 << 8), %r14d
	jz 1f
	movq $1, %rax
	movq $36, %rdx
	shlx %rdx, %rax, %r8
	movq $0x1000000000, %rcx
	cmpq %rcx, %r8
	jne wrong
	shrx %rdx, %r8, %r9
	cmpq $1, %r9
	jne wrong
	sarx %edx, %eax, %r9d
	rorxq $36, %r8, %r9
	cmpq $1, %r9
	jne wrong
	bzhi %rdx, %r8, %r9
	testq %r9, %r9
	jnz wrong
	mulxq %rdx, %r9, %r10
	pdepq %rcx, %rdx, %r9
	pextq %rcx, %rdx, %r9
	/* from memory too: the other decoding path */
	movq $5, PAGE_A
	movl $2, %edx
	shlx %rdx, PAGE_A, %r8
	cmpq $20, %r8
	jne wrong
1:
	STEP(11) /* AVX in ring 0 */
	testl $(1 << 28), %r13d
	jz 1f
	testl $(1 << 26), %r13d
	jz 1f
	movl $7, PAGE_A
	vmovd PAGE_A, %xmm1
	vpaddd %xmm1, %xmm1, %xmm2
	vmovd %xmm2, %eax
	cmpl $14, %eax
	jne wrong
	vmovdqu %ymm2, PAGE_B
	vzeroupper
1:
	STEP(12) /* user mode and back by SYSCALL, then by a trap through the task's stack, then by IRETQ */
	xorl %r12d, %r12d
	movl $A(user_code), %ecx
	movl $0x202, %r11d
	movq %rsp, %rbp
	movl $0x22ff0, %esp
	sysretq
user_code:
	int3
	syscall
	jmp wrong
entry_syscall:
	movq %rbp, %rsp
	movl $0x10, %eax
	movl %eax, %ss
	cmpl $0x100, %r12d
	jne wrong

	STEP(13) /* device memory: a write and a read that the host must answer */
	movl $0x1234abcd, MMIO
	movl MMIO + 4, %eax
	cmpl $0x5ca1ab1e, %eax
	jne wrong
	movl $0, %eax
	movzbl MMIO + 8, %eax
	cmpl $0x1e, %eax
	jne wrong

	STEP(14) /* an interrupt of the local APIC's timer wakes a halted processor */
	xorl %r12d, %r12d
	movl $APIC, %esi
	movl $0x1ff, 0xf0(%rsi)
	movl $0, 0x80(%rsi)
	movl $0xb, 0x3e0(%rsi)
	movl $0x20, 0x320(%rsi)
	movl $20000, 0x380(%rsi)
1:	cli
	testl $0x1000000, %r12d
	jnz 2f
	sti
	hlt
	jmp 1b
2:
	STEP(15) /* a stretch of ordinary code: an accelerator that interprets is not one */
	movl $4000000, %ecx
	xorl %eax, %eax
1:	addl %ecx, %eax
	roll $3, %eax
	movl %eax, PAGE_A
	decl %ecx
	jnz 1b

	STEP(16)
	movl $0x56494c41, %eax
	outl %eax, $PORT_ALIVE
9:	hlt
	jmp 9b
wrong:
	movb %bl, %al
	outb %al, $PORT_WRONG
9:	hlt
	jmp 9b

trap_ud:
	addq $2, (%rsp)
	incl %r12d
	iretq
trap_bp:
	addl $0x100, %r12d
	iretq
trap_pf:
	pushq %rax
	movq %cr2, %rax
	cmpq $PAGE_A, %rax
	jne wrong
	movq $(PAGE_A + 7), PT + 8 * (PAGE_A >> 12)
	invlpg (%rax)
	addl $0x10000, %r12d
	popq %rax
	addq $8, %rsp
	iretq
trap_other:
	jmp wrong
trap_timer:
	pushq %rax
	addl $0x1000000, %r12d
	movl $APIC, %eax
	movl $0, 0xb0(%rax)
	popq %rax
	iretq

	.balign 16
gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* 0x08 kernel code */
	.quad 0x00cf93000000ffff /* 0x10 kernel data */
	.quad 0x00cffb000000ffff /* 0x18 user code, 32 bit */
	.quad 0x00cff3000000ffff /* 0x20 user data */
	.quad 0x00affb000000ffff /* 0x28 user code */
	.quad 0x0000890000000067 + (TSS << 16), 0 /* 0x30 task */
gdt_end:
gdtr:
	.word gdt_end - gdt - 1
	.quad A(gdt)
	.balign 16
idt:
	.rept 3
	GATE(trap_other, 0x8e00)
	.endr
	GATE(trap_bp, 0xee00)
	.rept 2
	GATE(trap_other, 0x8e00)
	.endr
	GATE(trap_ud, 0x8e00)
	.rept 7
	GATE(trap_other, 0x8e00)
	.endr
	GATE(trap_pf, 0x8e00)
	.rept 17
	GATE(trap_other, 0x8e00)
	.endr
	GATE(trap_timer, 0x8e00)
idt_end:
idtr:
	.word idt_end - idt - 1
	.quad A(idt)
accel_guest_end:
	.section .note.GNU-stack, "", @progbits
