/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: what this host offers, as a JSON list of {id, title, result, detail, hint}.
 *
 * Starts nothing and changes nothing, but for the KVM probe. Who may call it: main.c for --check.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

struct check_options {
	const char *qemu;   /* NULL: the usual places */
	const char *device; /* /dev/kvm */
	const char *image_dir;
	const char *data_dir;		 /* NULL: not checked */
	uint64_t memory_mib, disk_mib; /* what is set; 0: unknown */
};

/* Return: 0 when no check failed; 1 when one did; -errno. */
int check_print(const struct check_options *options, FILE *out);
