/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy-desktop: the proxy settings of GNOME and KDE, from the text that holds them.
 *
 * Both are foreign text (a program's output, a file): bounded, and what is not understood is no proxy. No I/O. Automatic
 * configuration (PAC, WPAD) is a script and is not run: FAULT says so. Who may call it: backend/proxy-system.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "proto/proxyctl.h"

enum { PROXY_DESKTOP_TEXT_MAX = 65536 };

/* What "gsettings list-recursively org.gnome.system.proxy" prints. Return: 1: a proxy is set; 0: none. */
int proxy_desktop_gnome(struct proxyctl_settings *ret, const char *text, struct fault *fault);
/* The file kioslaverc. Return as above. */
int proxy_desktop_kde(struct proxyctl_settings *ret, const char *text, struct fault *fault);
