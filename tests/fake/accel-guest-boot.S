/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boots the KVM probe's guest under QEMU's own emulation (multiboot): the allow twin of the probe. Where KVM
 * does not work, this still shows that the guest code is right. The device memory it asks for is plain memory
 * here, so the answer is put there first.
 */
	.section .text.boot, "ax"
	.code32
	.balign 4
	.long 0x1badb002, 0, -0x1badb002
	.globl _start
_start:
	cli
	cld
	movl $accel_guest_start, %esi
	movl $accel_guest_end, %ecx
	subl %esi, %ecx
	movl $0x8000, %edi
	rep movsb
	movl $0x5ca1ab1e, 0x180004
	movl $0x5ca1ab1e, 0x180008
	movl $0x7ff0, %esp
	movl $0x8000, %eax
	jmp *%eax
	.section .note.GNU-stack, "", @progbits
