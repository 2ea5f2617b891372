/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port: the virtio-serial port to the machine, and the frames init writes to it.
 *
 * Init writes HELLO, STAGE and FAILED only and never reads: the agent does. Every frame is one write(2), so
 * that frames of init and agent never mix. Used by guest/init only.
 */
#pragma once

#include <stdint.h>

/* The text of /sys/class/virtio-ports/X/name up to the newline equals the wanted name. Pure. */
int port_name_matches(const char *text, const char *wanted);
/* Waits at most TIMEOUT_MS for the port named AGENT_PORT_NAME. Return: descriptor, non-blocking and
 * close-on-exec; -ENODEV; -errno. */
int port_open(int timeout_ms);
/* Adopts FD (borrowed for the rest of the process's life; -EBADF: frames are dropped). */
void port_set(int fd);
int port_fd(void);
void port_hello(void);
void port_stage(uint32_t stage);
void port_failed(uint32_t cause, uint64_t detail);
