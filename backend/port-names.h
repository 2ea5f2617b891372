/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port-names: the host ports that requests of this host have named: only these may the VM open.
 *
 * Remembered in ~/.docker/desktop/ports.json, so that containers with a restart policy get their ports back after a restart. Full:
 * the one named longest ago goes. The engine's own range for ports that nobody chose is always allowed.
 * Who may call it: backend/ports, backend/network.
 */
#pragma once

#include "backend/port-learn.h"
#include "base/loop.h"

enum {
	PORT_NAMES_MAX = 4096,
	PORT_NAMES_FILE_MAX = 512 << 10,
	/* ip_local_port_range of the VM's kernel: what the engine takes for -P */
	PORT_EPHEMERAL_FIRST = 32768,
	PORT_EPHEMERAL_LAST = 60999,
};

struct port_names;

/* Loads FILE beneath DIR_FD (borrowed; FILE static); a file that is not ours to read is a warning and an empty table. LOOP NULL:
 * nothing is stored by itself. Return: 0 or -errno. */
int port_names_new(struct loop *loop, int dir_fd, const char *file, struct port_names **ret);
/* Stores what is not yet stored. Return: NULL. */
struct port_names *port_names_free(struct port_names *names);
void port_names_add(struct port_names *names, const struct port_name *name);
/* May the VM open PORT? *RET_WIDE: whether "all addresses" was asked for in words, by the latest request that named it. */
bool port_names_allowed(const struct port_names *names, bool udp, uint16_t port, uint8_t *ret_wide);
size_t port_names_count(const struct port_names *names);
int port_names_store(struct port_names *names);
