/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local: a published TCP port on the VM's own loopback, for the engine itself ("docker push localhost:5000/x") and for
 * containers in the host's network, as docker-proxy has it.
 *
 * A listener on 127.0.0.1 or ::1 and nowhere else; at most LOCAL_MAX connections, each a relay to the container. A place that
 * is taken is left alone. Who may call it: main.c.
 */
#pragma once

#include <stdbool.h>

#include "base/loop.h"
#include "proto/net-frame.h"

enum { LOCAL_MAX = 256, LOCAL_CONNECT_US = 10000000 };

struct local;

/* HOST is what is published: any address or loopback gives a listener, another one none. Return: 0; LOCAL_E_NONE; -errno. */
enum { LOCAL_E_NONE = 1 };
int local_new(struct loop *loop, const struct net_addr *host, uint16_t host_port, const struct net_addr *target,
	      uint16_t target_port, struct local **ret);
struct local *local_free(struct local *local);
/* As relay_set_pending and relay_set_run, for the owner's loop; NULL allowed. */
bool local_pending(const struct local *local);
void local_run(struct local *local);
