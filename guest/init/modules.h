/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules: loads the kernel modules of the image's list, in its order, and switches loading off.
 *
 * The list is a text file made at image build from an allow-list and the modules' own dependencies: one
 * "STAGE FILE" per line, dependencies first. Nothing that is not in the list can be loaded: the kernel's
 * own helper is switched off, and after the last stage the system call is too (decision 0002). Used by
 * guest/init only; the parser is pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum modules_stage { MODULES_STAGE1, MODULES_BOOT, MODULES_LATER, MODULES_STAGE_MAX };
enum { MODULES_MAX = 256, MODULES_NAME_MAX = 56, MODULES_LIST_MAX = 32768 };

struct modules {
	uint32_t n;
	uint32_t next; /* first entry not tried yet */
	struct {
		uint8_t stage;
		char file[MODULES_NAME_MAX];
	} entries[MODULES_MAX];
};

/* Parses TEXT[0..LEN). Return: 0; -EINVAL: bad line, stages out of order, name with a slash; -E2BIG. */
int modules_parse(struct modules *ret, const char *text, size_t len);
/* Reads DIR/modules.list. Return: 0 or -errno. */
int modules_read(struct modules *ret, const char *dir);
/* Tries the next module of STAGE from DIR. Return: MODULES_E_DONE: none left; 0: loaded, or there
 * already, or its device is absent; -errno with the module's index in *RET_INDEX. */
enum { MODULES_E_DONE = 1 };
int modules_load_next(struct modules *modules, enum modules_stage stage, const char *dir,
		      uint32_t *ret_index);
