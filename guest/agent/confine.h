/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine: takes from the agent, once it is set up, everything it does not need to go on.
 *
 * Should: run before the first byte of a connection or of the machine is read. Mustn't: fail open. Afterwards the
 * process has no capability, cannot gain one, cannot be traced, and the kernel kills it at any system call outside
 * the list in confine.c. It stays uid 0 because the engine's socket belongs to root with mode 0600.
 * Who may call it: main.c, once.
 */
#pragma once

/* Return: 0 or -errno. */
int confine(void);
