/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accel: see accel.h.
 */
#include "machine/accel.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "machine/accel-probe.h"

#define ACCEL_FILE "accel.json"
enum { ACCEL_FILE_MAX = 4096, BOOT_ID_MAX = 64 };

static void json_freep(json_t **json)
{
	json_decref(*json);
}

static void read_boot_id(char dst[static BOOT_ID_MAX])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!f || !fgets(dst, BOOT_ID_MAX, f))
		snprintf(dst, BOOT_ID_MAX, "unknown");
	dst[strcspn(dst, "\n")] = '\0';
	if (f)
		fclose(f);
}

void accel_key(char dst[static ACCEL_KEY_MAX], const struct qemu *qemu, const char *device)
{
	char boot[BOOT_ID_MAX], dev[64] = "none";
	struct stat st;

	read_boot_id(boot);
	if (stat(device, &st) == 0)
		snprintf(dev, sizeof(dev), "%u:%u:%llx:%o:%u:%u", major(st.st_rdev), minor(st.st_rdev),
			 (unsigned long long)st.st_ino, st.st_mode, st.st_uid, st.st_gid);
	snprintf(dst, ACCEL_KEY_MAX, "%s %s %s %u", boot, qemu->identity, dev, (unsigned int)geteuid());
}

static bool take(char *dst, size_t size, const char *src)
{
	size_t n = strlen(src);

	if (n >= size)
		return false;
	memcpy(dst, src, n + 1);
	return true;
}

bool accel_load(struct accel_memory *ret, int dir_fd, const char *key)
{
	_cleanup_(json_freep) json_t *json = NULL;
	const char *file_key, *version, *reason;
	struct accel_memory memory = {0};
	_cleanup_free_ char *text = NULL;
	int format, known, works;
	size_t len;

	*ret = memory;
	snprintf(ret->key, sizeof(ret->key), "%s", key);
	if (fd_read_file(dir_fd, ACCEL_FILE, ACCEL_FILE_MAX, &text, &len))
		return false;
	json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json || json_unpack_ex(json, NULL, JSON_STRICT, "{s:i, s:s, s:s, s:b, s:b, s:s}", "format", &format,
				    "key", &file_key, "qemu", &version, "known", &known, "works", &works,
				    "reason", &reason) < 0)
		return false;
	if (format != 1 || strcmp(file_key, key) != 0 || !take(memory.key, sizeof(memory.key), file_key) ||
	    !take(memory.qemu_version, sizeof(memory.qemu_version), version) ||
	    !take(memory.reason, sizeof(memory.reason), reason))
		return false;
	memory.known = known;
	memory.works = works;
	*ret = memory;
	return true;
}

int accel_save(const struct accel_memory *memory, int dir_fd)
{
	_cleanup_(json_freep) json_t *json = NULL;
	_cleanup_free_ char *text = NULL;

	json = json_pack("{s:i, s:s, s:s, s:b, s:b, s:s}", "format", 1, "key", memory->key, "qemu",
			 memory->qemu_version, "known", (int)memory->known, "works", (int)memory->works, "reason",
			 memory->reason);
	text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
	if (!text)
		return trace(-ENOMEM);
	return fd_replace_file(dir_fd, ACCEL_FILE, text, strlen(text), 0600);
}

static void probe(struct accel_memory *memory, const char *device)
{
	struct accel_probe p;

	if (memory->known)
		return;
	accel_probe(device, ACCEL_PROBE_BUDGET_MS, &p);
	/* What may be different a moment later (rights, memory, another hypervisor at work) is asked anew every time. */
	memory->known = !p.transient;
	memory->works = p.works;
	snprintf(memory->reason, sizeof(memory->reason), "%s", p.reason);
}

int accel_choose(struct accel_choice *ret, enum machine_accel request, const char *device,
		 struct accel_memory *memory, struct fault *fault)
{
	*ret = (struct accel_choice){.accel = MACHINE_ACCEL_TCG};
	if (request == MACHINE_ACCEL_TCG) {
		snprintf(ret->reason, sizeof(ret->reason), "chosen in the settings");
		return 0;
	}
	probe(memory, device);
	if (memory->works) {
		ret->accel = MACHINE_ACCEL_KVM;
		ret->trial = request == MACHINE_ACCEL_AUTO;
		snprintf(ret->reason, sizeof(ret->reason), "%s", memory->reason);
		return 0;
	}
	if (request == MACHINE_ACCEL_KVM)
		return trace(fault_set(fault, -ENOTSUP,
				       "The accelerator is set to kvm, which cannot be used. %s. To run under software "
				       "emulation: caisson settings set accelerator auto.",
				       memory->reason));
	snprintf(ret->reason, sizeof(ret->reason), "%.230s", memory->reason);
	return 0;
}
