/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: see check.h.
 *
 * KVM that is missing is a warning, not a failure: the product runs under software emulation and says so. The five
 * accelerator checks are a chain; what lies behind the first broken link is skipped.
 */
#include "machine/check.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "machine/accel-probe.h"
#include "machine/disk.h"
#include "machine/image-files.h"
#include "machine/qemu.h"

enum check_result { CHECK_OK, CHECK_WARN, CHECK_FAIL, CHECK_SKIP };
static const char *const result_names[] = {"ok", "warn", "fail", "skip"};

struct checks {
	const struct check_options *options;
	json_t *list;
	bool failed;
	bool chain_broken; /* of the accelerator */
	bool kvm_works;
};

static _printf_(6, 7) void report(struct checks *c, const char *id, const char *title, enum check_result result,
				  const char *hint, const char *format, ...)
{
	char detail[512], clean[512];
	va_list ap;
	json_t *row;

	va_start(ap, format);
	vsnprintf(detail, sizeof(detail), format, ap);
	va_end(ap);
	text_escape(clean, sizeof(clean), detail, strlen(detail));
	row = json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", id, "title", title, "result", result_names[result],
			"detail", clean, "hint", hint);
	if (!row || json_array_append_new(c->list, row))
		c->failed = true;
	if (result == CHECK_FAIL)
		c->failed = true;
}

static void chain(struct checks *c, const char *id, const char *title, bool ok, const char *detail, const char *hint)
{
	if (c->chain_broken) {
		report(c, id, title, CHECK_SKIP, "", "not looked at, because an earlier check did not pass");
		return;
	}
	report(c, id, title, ok ? CHECK_OK : CHECK_WARN, ok ? "" : hint, "%s", detail);
	c->chain_broken = !ok;
}

/* First of WORDS in the flags line of /proc/cpuinfo, or NULL. */
static const char *cpu_flag(const char *const *words, size_t n)
{
	_cleanup_free_ char *line = NULL;
	const char *found = NULL;
	size_t size = 0;
	FILE *f = fopen("/proc/cpuinfo", "re");

	while (f && !found && getline(&line, &size, f) > 0) {
		char *save = NULL;

		if (strncmp(line, "flags", 5) != 0)
			continue;
		for (char *w = strtok_r(line, " \t\n", &save); w && !found; w = strtok_r(NULL, " \t\n", &save))
			for (size_t i = 0; i < n; i++)
				if (!strcmp(w, words[i]))
					found = words[i];
		break;
	}
	if (f)
		fclose(f);
	return found;
}

static void check_accelerator(struct checks *c)
{
	static const char *const flags[] = {"vmx", "svm"};
	static const char *const modules[] = {"kvm_intel", "kvm_amd", "kvm_pvm"};
	const char *flag = cpu_flag(flags, ARRAY_SIZE(flags)), *module = NULL;
	struct accel_probe probe = {0};
	char path[64], text[512];
	bool device;

	for (size_t i = 0; i < ARRAY_SIZE(modules) && !module; i++) {
		snprintf(path, sizeof(path), "/sys/module/%s", modules[i]);
		if (access(path, F_OK) == 0)
			module = modules[i];
	}
	device = access(c->options->device, F_OK) == 0;
	/* A hypervisor without the extension can still offer KVM (kvm_pvm): then the chain goes on. */
	if (!flag && device && module)
		report(c, "cpu-extension", "Processor has virtualization", CHECK_WARN, "",
		       "the processor shows neither vmx nor svm, but the module %s offers KVM without them", module);
	else
		chain(c, "cpu-extension", "Processor has virtualization", flag != NULL,
		      flag ? flag : "the processor shows neither vmx nor svm",
		      "On a virtual machine, switch on nested virtualization. On a computer, see the next check.");
	/* Linux hides the flag when the firmware locked the feature off, so a flag means that it is on. */
	if (!flag && device && module)
		report(c, "firmware", "Virtualization is switched on in the firmware", CHECK_SKIP, "",
		       "cannot be told without the processor's extension");
	else
		chain(c, "firmware", "Virtualization is switched on in the firmware", flag != NULL,
		      "the kernel sees the extension", "Switch on VT-x or AMD-V in the firmware set-up.");
	snprintf(text, sizeof(text), "%s", module ? module : device ? "built into the kernel" : "no KVM module is loaded");
	chain(c, "kvm-module", "Kernel module is loaded", module || device, text,
	      "Load it: modprobe kvm_intel or modprobe kvm_amd.");
	snprintf(text, sizeof(text), "%s%s%s", c->options->device,
		 access(c->options->device, R_OK | W_OK) == 0 ? "" : ": ",
		 access(c->options->device, R_OK | W_OK) == 0 ? "" : strerror(errno));
	chain(c, "kvm-device", "KVM may be used", access(c->options->device, R_OK | W_OK) == 0, text,
	      "Add your account to the group kvm and log in again.");
	if (!c->chain_broken)
		accel_probe(c->options->device, ACCEL_PROBE_BUDGET_MS, &probe);
	c->kvm_works = probe.works;
	snprintf(text, sizeof(text), "%s (%u ms)", probe.reason, probe.us / 1000);
	chain(c, "kvm-works", "KVM works", probe.works, text,
	      "The VM runs under software emulation: slower, and with no isolation guarantee.");
}

static void check_qemu(struct checks *c)
{
	static const char title[] = "QEMU is installed";
	struct fault fault = FAULT_INIT;
	struct qemu qemu;

	if (qemu_find(&qemu, c->options->qemu, &fault) || qemu_ask_version(&qemu, &fault))
		report(c, "qemu", title, CHECK_FAIL, "Install qemu-system-x86, version 10 or later.", "%s", fault.text);
	else if (qemu.major < QEMU_MAJOR_MIN)
		report(c, "qemu", title, CHECK_FAIL, "Install version 10 or later (Debian 12: from its backports).",
		       "%s is version %s, which is too old", qemu.path, qemu.version);
	else if (qemu.major < QEMU_MAJOR_TCG_GOOD && !c->kvm_works)
		report(c, "qemu", title, CHECK_WARN, "Install version 10 or later.",
		       "%s is version %s; without KVM, versions before 10 can crash the VM", qemu.path, qemu.version);
	else
		report(c, "qemu", title, CHECK_OK, "", "%s, version %s", qemu.path, qemu.version);
}

static void check_image(struct checks *c)
{
	static const char title[] = "VM image is present and intact";
	struct image_files files = IMAGE_FILES_INIT;
	struct fault fault = FAULT_INIT;

	if (image_files_open(&files, c->options->image_dir, &fault) || image_files_verify(&files, &fault))
		report(c, "image", title, CHECK_FAIL, "Build or install the image again.", "%s", fault.text);
	else
		report(c, "image", title, CHECK_OK, "", "kernel %s, engine %s", files.image.kernel_release,
		       files.image.engine);
	image_files_done(&files);
}

static uint64_t available_memory(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return (uint64_t)kib << 10;
}

static void check_memory(struct checks *c)
{
	static const char title[] = "Memory";
	uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t available = available_memory(), want = c->options->memory_mib << 20;
	char a[32], t[32], w[32];

	text_format_size(a, sizeof(a), available);
	text_format_size(t, sizeof(t), total);
	text_format_size(w, sizeof(w), want);
	if (want >= total)
		report(c, "memory", title, CHECK_FAIL, "Set less memory for the VM.",
		       "the VM is set to %s, this computer has %s", w, t);
	else if (want > available || available < (uint64_t)1 << 30)
		report(c, "memory", title, CHECK_WARN, "Close other programs, or set less memory for the VM.",
		       "%s of %s are available", a, t);
	else
		report(c, "memory", title, CHECK_OK, "", "%s of %s are available", a, t);
}

static void check_disk(struct checks *c)
{
	static const char title[] = "Disk space";
	_cleanup_free_ char *dir = c->options->data_dir ? strdup(c->options->data_dir) : NULL;
	_cleanup_close_ int fd = -EBADF;
	uint64_t avail = 0;
	char a[32];

	if (!dir) {
		report(c, "disk", title, CHECK_SKIP, "", "no data directory was given");
		return;
	}
	/* The directory may not exist yet: then its nearest parent tells. */
	while ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 && errno == ENOENT && strrchr(dir, '/') > dir)
		*strrchr(dir, '/') = '\0';
	if (fd < 0 || disk_free_space(fd, &avail)) {
		report(c, "disk", title, CHECK_FAIL, "Check the directory's path and rights.", "%s: %s",
		       c->options->data_dir, strerror(errno));
		return;
	}
	text_format_size(a, sizeof(a), avail);
	if (avail < (uint64_t)DISK_FREE_MIN_MIB << 20)
		report(c, "disk", title, CHECK_FAIL, "Free some space.", "%s are free, at least %d MiB are needed", a,
		       DISK_FREE_MIN_MIB);
	else if (avail >> 20 < c->options->disk_mib || avail < (uint64_t)4 << 30)
		report(c, "disk", title, CHECK_WARN, "Free some space, or containers will see a full disk early.",
		       "%s are free, less than the data disk can grow to", a);
	else
		report(c, "disk", title, CHECK_OK, "", "%s are free", a);
}

static void check_memfd(struct checks *c)
{
	static const char title[] = "Shared memory for the VM";
	_cleanup_close_ int fd = memfd_create("caisson-check", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, 4096) < 0)
		report(c, "memfd", title, CHECK_FAIL, "A kernel with memfd_create is needed.", "memfd: %s",
		       strerror(errno));
	else
		report(c, "memfd", title, CHECK_OK, "", "memfd works");
}

int check_print(const struct check_options *options, FILE *out)
{
	struct checks c = {.options = options, .list = json_array()};

	if (!c.list)
		return trace(-ENOMEM);
	check_accelerator(&c);
	check_qemu(&c);
	check_image(&c);
	check_memory(&c);
	check_disk(&c);
	check_memfd(&c);
	json_dumpf(c.list, out, JSON_INDENT(1));
	fputc('\n', out);
	json_decref(c.list);
	return c.failed ? 1 : 0;
}
