/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy-settings: what the user wants of the HTTP proxy, from text to struct proxyctl_settings.
 *
 * Three modes: "system" (environment of the backend, then the desktop's settings: backend/proxy-system), "manual" (two URLs and a
 * list of exclusions), "none". Parses, checks, describes; no I/O. A user's name and password are in struct proxyctl_settings and in
 * the URLs given here, and in no message made here. Who may call it: backend.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "proto/proxyctl.h"

enum proxy_mode { PROXY_SYSTEM, PROXY_MANUAL, PROXY_NONE, PROXY_MODE_MAX };
enum { PROXY_URL_MAX = 1024, PROXY_EXCLUDE_MAX = PROXYCTL_EXCLUDE_TEXT_MAX };

/* Borrowed texts as they are in the settings store; NULL or empty: not set. */
struct proxy_settings {
	enum proxy_mode mode;
	const char *http;    /* "http://[USER[:PASSWORD]@]HOST[:PORT]", socks5://, socks5h:// */
	const char *https;   /* for CONNECT; not set: HTTP's */
	const char *exclude; /* "localhost,.corp,*.lan:8080,10.0.0.0/8" */
};

/* For the settings: would TEXT do? FAULT says why not, without repeating user and password. Return: 0; -EINVAL. */
int proxy_settings_check_url(const char *text, struct fault *fault);
int proxy_settings_check_exclude(const char *text, struct fault *fault);
int proxy_settings_check(const struct proxy_settings *settings, struct fault *fault);
/* The URL as it may be shown: three stars stand for user and password. */
void proxy_settings_redact(const char *url, char *dst, size_t size);

/* Parses one URL of a proxy; without a scheme it is http. SOURCE tells where it is from. Return: 0; -EINVAL with FAULT. */
int proxy_url_parse(struct proxyctl_upstream *ret, const char *text, const char *source, struct fault *fault);
/* Adds the items of TEXT (separated by commas or blanks). Return: 0; -EINVAL with FAULT. */
int proxy_exclude_add(struct proxyctl_settings *settings, const char *text, struct fault *fault);

/* Modes manual and none. Return: 0; -EINVAL with FAULT. */
int proxy_settings_manual(struct proxyctl_settings *ret, const struct proxy_settings *settings, struct fault *fault);
void proxy_settings_none(struct proxyctl_settings *ret, const char *source);
/* http_proxy, https_proxy, all_proxy, no_proxy, lower case first; HTTP_PROXY in capitals too. What does not parse is left out and
 * the last such reason is in FAULT. Return: 1 when a variable names a proxy, 0 when none does. */
typedef const char *(*proxy_getenv_fn)(void *data, const char *name);
int proxy_settings_environment(struct proxyctl_settings *ret, proxy_getenv_fn get, void *data, struct fault *fault);

/* "http through proxy.corp:3128 (manual), https direct (manual), 3 exclusions"; never user or password. */
void proxy_settings_describe(const struct proxyctl_settings *settings, char *dst, size_t size);
