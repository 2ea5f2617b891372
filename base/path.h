/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path: checks and joins of path strings, for the few places that must have one (settings, command line).
 *
 * Who may call it: backend, machine, ui; never helper or devices, which see descriptors only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A single component: 1 to 255 bytes, no slash, no NUL, not "." or "..". */
bool path_is_name(const char *name);
/* Absolute, no "." or ".." component, no control character, shorter than PATH_MAX. */
bool path_is_clean_absolute(const char *path);
/* DIR/NAME into malloc'ed *RET (caller frees). Return: 0 or -errno. */
int path_join(const char *dir, const char *name, char **ret);
/* PATH equals or lies below PREFIX, component-wise. */
bool path_is_below(const char *path, const char *prefix);
/* DIR of this executable + "/" + REL, resolved through /proc/self/exe ("../libexec/caisson/caisson-net"), so
 * that an installation can be moved as a whole. *RET is malloc'ed (caller frees). Return: 0 or -errno. */
int path_beside_self(const char *rel, char **ret);
