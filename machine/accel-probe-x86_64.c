/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accel-probe on x86-64: a one-processor machine of 1 MiB made through the KVM interface.
 *
 * Theory: the child shares one page with its parent and writes there which step the guest began and how the
 * run ended; the parent waits on the child's pidfd. Whatever happens to the child (killed for time, stuck in
 * the kernel, crashed), the page holds the last step that began, and that is the one named in the reason.
 */
#include "machine/accel-probe.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"

enum {
	GUEST_SIZE = 0x100000,
	GUEST_BASE = 0x8000,
	PORT_STEP = 0xf4,
	PORT_WRONG = 0xf5,
	PORT_ALIVE = 0xf6,
	CPUID_MAX = 256,
};
#define ALIVE 0x56494c41u
#define MMIO_BASE 0x180000u
#define MMIO_WRITTEN 0x1234abcdu
#define MMIO_ANSWER 0x5ca1ab1eu

extern const char accel_guest_start[], accel_guest_end[];

enum probe_end {
	PROBE_RUNNING, /* nothing was reported: killed or crashed */
	PROBE_ALIVE,
	PROBE_WRONG,	/* the guest found a wrong result */
	PROBE_EXIT,	/* an exit that this guest does not cause; code: KVM_EXIT_* */
	PROBE_SETUP,	/* a call of the KVM interface failed; code: errno, what: which */
	PROBE_VERSION,	/* code: the interface's version */
};

struct probe_page {
	volatile uint32_t step;
	volatile uint32_t end;
	volatile int32_t code;
	volatile uint64_t rip;
	volatile uint32_t mmio_seen;
	char what[32];
	uint8_t bytes[8]; /* of the instruction at rip */
};

static const char *const step_names[ACCEL_STEP_MAX] = {
	[ACCEL_STEP_NONE] = "the first instruction",
	[ACCEL_STEP_PAGING] = "switching on paging and long mode",
	[ACCEL_STEP_SEGMENTS] = "loading segments and the interrupt table",
	[ACCEL_STEP_EXCEPTIONS] = "taking and returning from exceptions",
	[ACCEL_STEP_MSR] = "model specific registers",
	[ACCEL_STEP_CPUID] = "CPUID",
	[ACCEL_STEP_TLB] = "changing page tables",
	[ACCEL_STEP_STRINGS] = "string instructions",
	[ACCEL_STEP_ATOMICS] = "atomic instructions",
	[ACCEL_STEP_FPU] = "floating point and XSAVE",
	[ACCEL_STEP_VEX] = "BMI instructions (SHLX and its kind) in kernel mode",
	[ACCEL_STEP_AVX] = "AVX instructions in kernel mode",
	[ACCEL_STEP_USER] = "switching to user mode and back",
	[ACCEL_STEP_MMIO] = "access to device memory",
	[ACCEL_STEP_TIMER] = "a timer interrupt",
	[ACCEL_STEP_COMPUTE] = "a stretch of ordinary code (it runs too slowly)",
	[ACCEL_STEP_END] = "the end",
};

const char *accel_step_name(enum accel_step step)
{
	return (unsigned int)step < ACCEL_STEP_MAX ? step_names[step] : "an unknown step";
}

static _noreturn_ void probe_end(struct probe_page *page, enum probe_end end, int code, const char *what)
{
	snprintf(page->what, sizeof(page->what), "%s", what);
	page->code = code;
	page->end = end;
	_exit(0);
}

static int probe_ioctl(struct probe_page *page, int fd, unsigned long request, const char *what, void *arg)
{
	int r = ioctl(fd, request, arg);

	if (r < 0)
		probe_end(page, PROBE_SETUP, errno, what);
	return r;
}

static int probe_value(struct probe_page *page, int fd, unsigned long request, const char *what,
		       unsigned long value)
{
	return probe_ioctl(page, fd, request, what, (void *)value);
}

/* Flat 32-bit protected mode without paging, as a kernel is entered through PVH. */
static void probe_registers(struct probe_page *page, int vcpu)
{
	struct kvm_segment code = {.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .db = 1,
				   .s = 1, .g = 1};
	struct kvm_segment data = {.limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .db = 1,
				   .s = 1, .g = 1};
	struct kvm_regs regs = {.rip = GUEST_BASE, .rsp = 0x7ff0, .rflags = 2};
	struct kvm_sregs sregs;

	probe_ioctl(page, vcpu, KVM_GET_SREGS, "KVM_GET_SREGS", &sregs);
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr0 |= 1;
	probe_ioctl(page, vcpu, KVM_SET_SREGS, "KVM_SET_SREGS", &sregs);
	probe_ioctl(page, vcpu, KVM_SET_REGS, "KVM_SET_REGS", &regs);
}

static void probe_cpuid(struct probe_page *page, int kvm, int vcpu)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[CPUID_MAX];
	} cpuid;

	cpuid.head.nent = CPUID_MAX;
	probe_ioctl(page, kvm, KVM_GET_SUPPORTED_CPUID, "KVM_GET_SUPPORTED_CPUID", &cpuid);
	probe_ioctl(page, vcpu, KVM_SET_CPUID2, "KVM_SET_CPUID2", &cpuid);
}

static void probe_io(struct probe_page *page, const struct kvm_run *run)
{
	const uint8_t *data = (const uint8_t *)run + run->io.data_offset;
	uint32_t word = 0;

	if (run->io.direction != KVM_EXIT_IO_OUT || run->io.count != 1)
		probe_end(page, PROBE_EXIT, KVM_EXIT_IO, "io");
	memcpy(&word, data, run->io.size <= 4 ? run->io.size : 4);
	switch (run->io.port) {
	case PORT_STEP:
		page->step = word < ACCEL_STEP_MAX ? word : ACCEL_STEP_NONE;
		return;
	case PORT_ALIVE:
		if (word != ALIVE || page->step != ACCEL_STEP_END || page->mmio_seen != 3)
			probe_end(page, PROBE_WRONG, 0, "");
		probe_end(page, PROBE_ALIVE, 0, "");
	case PORT_WRONG:
		probe_end(page, PROBE_WRONG, 0, "");
	default:
		probe_end(page, PROBE_EXIT, KVM_EXIT_IO, "io");
	}
}

static void probe_mmio(struct probe_page *page, struct kvm_run *run)
{
	uint32_t word = MMIO_ANSWER;

	if (run->mmio.is_write) {
		memcpy(&word, run->mmio.data, sizeof(word));
		if (run->mmio.phys_addr != MMIO_BASE || run->mmio.len != 4 || word != MMIO_WRITTEN)
			probe_end(page, PROBE_WRONG, 0, "");
		page->mmio_seen |= 1;
		return;
	}
	if (run->mmio.phys_addr != MMIO_BASE + 4 && run->mmio.phys_addr != MMIO_BASE + 8)
		probe_end(page, PROBE_EXIT, KVM_EXIT_MMIO, "mmio");
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	memcpy(run->mmio.data, &word, sizeof(word));
	page->mmio_seen |= 2;
}

/* Where the processor stands, and what instruction is there: the one fact a bug report needs. */
static void probe_where(struct probe_page *page, int vcpu, const uint8_t *memory)
{
	struct kvm_regs regs;

	if (ioctl(vcpu, KVM_GET_REGS, &regs) < 0)
		return;
	page->rip = regs.rip;
	if (regs.rip <= GUEST_SIZE - sizeof(page->bytes))
		memcpy(page->bytes, memory + regs.rip, sizeof(page->bytes));
}

/* A child that hangs in the kernel outlives its machine: it must hold none of its descriptors, above all not
 * standard input, which is the lock that the next start waits for (run/machine.lock). */
static void probe_drop_descriptors(void)
{
	int null_fd;

	(void)fd_close_others(NULL, 0);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2; fd++)
		if (null_fd < 0 || dup2(null_fd, fd) < 0)
			close(fd);
	fd_close(null_fd);
}

static _noreturn_ void probe_child(struct probe_page *page, const char *device)
{
	struct kvm_userspace_memory_region region = {.memory_size = GUEST_SIZE};
	size_t guest_len = (size_t)(accel_guest_end - accel_guest_start);
	struct kvm_run *run;
	int kvm, vm, vcpu, r;
	uint8_t *memory;

	kvm = open(device, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (kvm < 0)
		probe_end(page, PROBE_SETUP, errno, "open");
	r = probe_value(page, kvm, KVM_GET_API_VERSION, "KVM_GET_API_VERSION", 0);
	if (r != KVM_API_VERSION)
		probe_end(page, PROBE_VERSION, r, "");
	vm = probe_value(page, kvm, KVM_CREATE_VM, "KVM_CREATE_VM", 0);
	probe_value(page, vm, KVM_SET_TSS_ADDR, "KVM_SET_TSS_ADDR", 0xfffbd000);
	probe_value(page, vm, KVM_CREATE_IRQCHIP, "KVM_CREATE_IRQCHIP", 0);
	memory = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		probe_end(page, PROBE_SETUP, errno, "mmap");
	memcpy(memory + GUEST_BASE, accel_guest_start, guest_len);
	region.userspace_addr = (uintptr_t)memory;
	probe_ioctl(page, vm, KVM_SET_USER_MEMORY_REGION, "KVM_SET_USER_MEMORY_REGION", &region);
	vcpu = probe_value(page, vm, KVM_CREATE_VCPU, "KVM_CREATE_VCPU", 0);
	r = probe_value(page, kvm, KVM_GET_VCPU_MMAP_SIZE, "KVM_GET_VCPU_MMAP_SIZE", 0);
	run = mmap(NULL, (size_t)r, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		probe_end(page, PROBE_SETUP, errno, "mmap of the processor");
	probe_cpuid(page, kvm, vcpu);
	probe_registers(page, vcpu);
	for (;;) {
		if (ioctl(vcpu, KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			r = errno;
			probe_where(page, vcpu, memory);
			probe_end(page, PROBE_SETUP, r, "KVM_RUN");
		}
		if (run->exit_reason == KVM_EXIT_IO) {
			probe_io(page, run);
		} else if (run->exit_reason == KVM_EXIT_MMIO) {
			probe_mmio(page, run);
		} else {
			probe_where(page, vcpu, memory);
			probe_end(page, PROBE_EXIT, (int)run->exit_reason, "");
		}
	}
}

static const char *exit_text(int code)
{
	switch (code) {
	case KVM_EXIT_INTERNAL_ERROR:
		return "the kernel's emulator gave up";
	case KVM_EXIT_SHUTDOWN:
		return "the virtual processor shut down (triple fault)";
	case KVM_EXIT_FAIL_ENTRY:
		return "the processor refused to enter the guest";
	default:
		return "of an unexpected event";
	}
}

static void probe_words(struct accel_probe *ret, const struct probe_page *page, const char *device)
{
	char where[64] = "";

	if (page->rip)
		snprintf(where, sizeof(where), " at an instruction %02x %02x %02x %02x %02x", page->bytes[0],
			 page->bytes[1], page->bytes[2], page->bytes[3], page->bytes[4]);
	switch ((enum probe_end)page->end) {
	case PROBE_ALIVE:
		ret->works = true;
		snprintf(ret->reason, sizeof(ret->reason), "KVM ran kernel code correctly");
		break;
	case PROBE_WRONG:
		snprintf(ret->reason, sizeof(ret->reason), "KVM does not work: it computed a wrong result in %s",
			 accel_step_name(ret->step));
		break;
	case PROBE_EXIT:
		snprintf(ret->reason, sizeof(ret->reason), "KVM does not work: it stopped in %s, because %s (exit %d)%s",
			 accel_step_name(ret->step), exit_text(page->code), page->code, where);
		break;
	case PROBE_SETUP:
		ret->transient = strcmp(page->what, "KVM_RUN") != 0;
		if (!strcmp(page->what, "open"))
			snprintf(ret->reason, sizeof(ret->reason), "%s cannot be opened: %s", device, strerror(page->code));
		else
			snprintf(ret->reason, sizeof(ret->reason), "KVM does not work: %s of %s failed: %s", page->what,
				 device, strerror(page->code));
		break;
	case PROBE_VERSION:
		snprintf(ret->reason, sizeof(ret->reason), "%s has interface version %d, not %d", device,
			 page->code, KVM_API_VERSION);
		break;
	case PROBE_RUNNING:
		snprintf(ret->reason, sizeof(ret->reason), "KVM does not work: it hung in %s",
			 accel_step_name(ret->step));
		break;
	}
}

/* Waits for the child's end, kills it when the budget is used up. One that SIGKILL does not end at once sits
 * in the kernel: it is left to init, because waiting for it would hang the caller as well. */
static void probe_wait(pid_t pid, int pidfd, unsigned int budget_ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int r;

	do
		r = poll(&p, 1, (int)budget_ms);
	while (r < 0 && errno == EINTR);
	if (r <= 0) {
		kill(pid, SIGKILL);
		poll(&p, 1, 200);
	}
	waitpid(pid, NULL, WNOHANG);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void accel_probe(const char *device, unsigned int budget_ms, struct accel_probe *ret)
{
	_cleanup_close_ int pidfd = -EBADF;
	struct probe_page *page;
	uint64_t start = now_us();
	pid_t pid;

	*ret = (struct accel_probe){0};
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED) {
		snprintf(ret->reason, sizeof(ret->reason), "no memory for the KVM probe");
		ret->transient = true;
		return;
	}
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		probe_drop_descriptors();
		probe_child(page, device);
	}
	if (pid > 0)
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pid < 0 || pidfd < 0) {
		if (pid > 0) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
		snprintf(ret->reason, sizeof(ret->reason), "the KVM probe could not be started");
		ret->transient = true;
		munmap(page, sizeof(*page));
		return;
	}
	probe_wait(pid, pidfd, budget_ms);
	ret->step = page->step < ACCEL_STEP_MAX ? page->step : ACCEL_STEP_NONE;
	probe_words(ret, page, device);
	ret->us = (uint32_t)(now_us() - start);
	munmap(page, sizeof(*page));
}
