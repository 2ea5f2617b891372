/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan: how QEMU and caisson-net are started, as data: argument vectors and the order of descriptors.
 *
 * Pure: no I/O, no environment. Only integers, enumerations, hexadecimal digests and constants reach an
 * argument; everything that has a name on the host is a descriptor. So no path, setting or image name can
 * become an option (docs/decisions/0005-qemu-arguments.md).
 * Who may call it: machine.c; the golden test.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "proto/image.h"
#include "proto/machine.h"

enum { PLAN_FD_BASE = 3, PLAN_ARGS_MAX = 96, PLAN_TEXT_MAX = 8192, PLAN_CARDS_MAX = 3 };

/* QEMU's descriptors, in the order in which it inherits them: entry I is PLAN_FD_BASE + I there. */
enum plan_fd {
	PLAN_FD_QMP,	 /* socket pair, stream */
	PLAN_FD_AGENT,	 /* socket pair, stream */
	PLAN_FD_CONSOLE, /* socket pair, stream */
	PLAN_FD_KERNEL,	 /* read-only */
	PLAN_FD_INITRD,	 /* read-only */
	PLAN_FD_ROOT,	 /* read-only */
	PLAN_FD_DATA,	 /* read and write; holds the lock of the disk */
	PLAN_FD_RUN_DIR, /* directory in which QEMU binds the vhost-user sockets */
	PLAN_FD_MAX,
};

/* vhost-user devices, in the order in which QEMU waits for them. Room is left in this enumeration and in the table of plan.c
 * for the file server; no argument is made for one that the plan does not use. */
enum plan_card { PLAN_CARD_CONTROL, PLAN_CARD_DATA, PLAN_CARD_FILES };

/* Names of the cards' sockets in the run directory. */
#define PLAN_CONTROL_SOCKET "vhost-net0.sock"
#define PLAN_DATA_SOCKET "vhost-net1.sock"

struct plan_input {
	uint32_t cpus;
	uint32_t memory_mib;
	enum machine_accel accel; /* KVM or TCG */
	uint32_t qemu_major;
	uint32_t mtu; /* of the data card */
	const struct image *image;
};

/* An argument vector with its own text. argv points into text: never copy the structure. */
struct plan {
	char *argv[PLAN_ARGS_MAX + 1];
	size_t n_args;
	size_t n_fds;
	size_t used;
	char text[PLAN_TEXT_MAX];
};

/* Return: 0; -EINVAL: accelerator not decided, or a number out of range; -E2BIG. */
int plan_qemu(struct plan *plan, const struct plan_input *input);
/* Descriptors of caisson-net: 3 vhost-user, 4 device control; of the control card 5 engine listener, 6 echo listener; of the data
 * card 5 netctl. Return: 0; -EINVAL: CARD is no network card. */
int plan_net(struct plan *plan, enum plan_card card);
