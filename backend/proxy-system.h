/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy-system: what "system" means for the proxy: the backend's environment, else the desktop's settings, followed as they change.
 *
 * GNOME's are asked of the program gsettings (with a time-out, only where a session bus is), KDE's read from kioslaverc; the
 * folders that hold them are watched, so an idle desktop costs no wake-up. States: asking, waiting for a change.
 * Who may call it: backend/proxy-process.
 */
#pragma once

#include "base/error.h"
#include "base/loop.h"
#include "proto/proxyctl.h"

struct proxy_system;

/* SETTINGS are borrowed; FAULT (text "" when all is well) says what was not understood. */
typedef void (*proxy_system_fn)(void *data, const struct proxyctl_settings *settings, const struct fault *fault);

/* GSETTINGS is the program's absolute path. ON_CHANGE is called from the loop or at once, first for what is there now.
 * Return: 0; -errno. */
int proxy_system_new(struct loop *loop, const char *gsettings, proxy_system_fn on_change, void *data, struct proxy_system **ret);
struct proxy_system *proxy_system_free(struct proxy_system *s);
