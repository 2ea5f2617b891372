/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin: the docker CLI's plug-in protocol (docker/cli, cli-plugins/manager): one metadata answer, and docker's
 * global options in front of the plug-in's name. Who may call it: main only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum { PLUGIN_ANSWERED = 1 };

/* argv[0] is docker-desktop, in any directory. */
bool plugin_is_name(const char *argv0);
/* Answers the metadata question, or skips docker's global options and the word "desktop"; "help desktop X" and
 * completion requests are rewritten in ARGV to our own form. *RET_SKIP: how many of ARGV to leave out.
 * Return: 0; PLUGIN_ANSWERED; -EINVAL with FAULT. */
int plugin_enter(int argc, char **argv, size_t *ret_skip, struct fault *fault);
