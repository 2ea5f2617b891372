/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy-desktop: see the header. Both texts are lines of key and value; the keys that matter are collected first, then made into
 * URLs, so that one parser (proxy_url_parse) judges them all.
 *
 * Called by backend/proxy-system. Never does I/O, never allocates.
 */
#include "backend/proxy-desktop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/proxy-settings.h"
#include "base/cleanup.h"
#include "base/text.h"

enum { VALUE_MAX = 512, LINE_MAX_ = 8192 };

static const char gnome[] = "system: GNOME settings";
static const char kde[] = "system: KDE settings";

/* The line that begins with KEY: its rest into DST without the line's end. Return: false: none, or too long. */
static bool find_line(const char *text, const char *key, char *dst, size_t size)
{
	size_t key_len = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		size_t len = strcspn(line, "\n");

		if (len < key_len || strncmp(line, key, key_len))
			continue;
		if (len - key_len >= size)
			return false;
		memcpy(dst, line + key_len, len - key_len);
		dst[len - key_len] = '\0';
		return true;
	}
	return false;
}

/* A string of GVariant's text form at *P: 'x' or "x", with backslashes. Return: true, *P behind it. */
static bool take_string(const char **p, char *dst, size_t size)
{
	char quote = **p;
	size_t n = 0;

	if (quote != '\'' && quote != '"')
		return false;
	for ((*p)++; **p && **p != quote; (*p)++) {
		if (**p == '\\' && !*++*p)
			return false;
		if (n + 1 >= size)
			return false;
		dst[n++] = **p;
	}
	dst[n] = '\0';
	if (**p != quote)
		return false;
	(*p)++;
	return true;
}

static bool gnome_string(const char *text, const char *key, char *dst, size_t size)
{
	char line[VALUE_MAX];
	const char *p = line;

	return find_line(text, key, line, sizeof(line)) && take_string(&p, dst, size) && *dst;
}

/* DST gets SRC with every byte but letters and digits as %XX. */
static void percent_encode(char *dst, size_t size, const char *src)
{
	size_t n = 0;

	for (; *src && n + 4 <= size; src++) {
		unsigned char c = (unsigned char)*src;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
			dst[n++] = (char)c;
		else
			n += (size_t)snprintf(dst + n, size - n, "%%%02X", c);
	}
	dst[n] = '\0';
}

/* "user:password@" when SCHEMA has them switched on. */
static void gnome_user(const char *text, const char *schema, char *dst, size_t size)
{
	char key[96], line[16], value[VALUE_MAX], user[VALUE_MAX], password[VALUE_MAX];

	dst[0] = '\0';
	snprintf(key, sizeof(key), "%s use-authentication ", schema);
	if (!find_line(text, key, line, sizeof(line)) || strcmp(line, "true"))
		return;
	snprintf(key, sizeof(key), "%s authentication-user ", schema);
	if (!gnome_string(text, key, value, sizeof(value)))
		return;
	percent_encode(user, sizeof(user), value);
	snprintf(key, sizeof(key), "%s authentication-password ", schema);
	password[0] = '\0';
	if (gnome_string(text, key, value, sizeof(value)))
		percent_encode(password, sizeof(password), value);
	snprintf(dst, size, "%s:%s@", user, password);
	explicit_bzero(value, sizeof(value));
	explicit_bzero(password, sizeof(password));
}

/* Return: 1: U is set from SCHEMA; 0: nothing there. */
static int gnome_proxy(struct proxyctl_upstream *u, const char *text, const char *scheme, const char *schema, struct fault *fault)
{
	char key[96], host[PROXYCTL_HOST_MAX], port[16], user[2 * VALUE_MAX + 4], url[PROXY_URL_MAX];
	uint64_t n;
	int r;

	snprintf(key, sizeof(key), "%s host ", schema);
	if (!gnome_string(text, key, host, sizeof(host)))
		return 0;
	snprintf(key, sizeof(key), "%s port ", schema);
	if (!find_line(text, key, port, sizeof(port)) || text_parse_u64(port, UINT16_MAX, &n) < 0 || !n)
		return 0;
	gnome_user(text, schema, user, sizeof(user));
	if (strlen(user) + strlen(host) + 32 >= sizeof(url))
		return 0;
	r = snprintf(url, sizeof(url), strchr(host, ':') ? "%s%s[%s]:%s" : "%s%s%s:%s", scheme, user, host, port);
	r = r < (int)sizeof(url) ? proxy_url_parse(u, url, gnome, fault) : -EINVAL;
	explicit_bzero(user, sizeof(user));
	explicit_bzero(url, sizeof(url));
	return r >= 0;
}

static void gnome_ignore(struct proxyctl_settings *s, const char *text, struct fault *fault)
{
	char line[LINE_MAX_], item[VALUE_MAX];
	const char *p;

	if (!find_line(text, "org.gnome.system.proxy ignore-hosts ", line, sizeof(line)))
		return;
	for (p = line; *p;) {
		if (*p != '\'' && *p != '"') {
			p++;
			continue;
		}
		if (!take_string(&p, item, sizeof(item)))
			return;
		(void)proxy_exclude_add(s, item, fault);
	}
}

int proxy_desktop_gnome(struct proxyctl_settings *ret, const char *text, struct fault *fault)
{
	char mode[32];
	struct proxyctl_upstream socks;
	int n;

	proxy_settings_none(ret, "system: no proxy set");
	if (!gnome_string(text, "org.gnome.system.proxy mode ", mode, sizeof(mode)) || !strcmp(mode, "none"))
		return 0;
	if (strcmp(mode, "manual")) {
		fault_set(fault, -ENOTSUP, "GNOME's proxy settings are automatic (a script), which is not "
				"supported; set proxy to manual");
		proxy_settings_none(ret, "system: GNOME's automatic configuration is not supported");
		return 0;
	}
	n = gnome_proxy(&ret->http, text, "http://", "org.gnome.system.proxy.http", fault);
	n += gnome_proxy(&ret->https, text, "http://", "org.gnome.system.proxy.https", fault);
	if (gnome_proxy(&socks, text, "socks5h://", "org.gnome.system.proxy.socks", fault)) {
		n++;
		if (ret->http.kind == PROXYCTL_DIRECT)
			ret->http = socks;
		if (ret->https.kind == PROXYCTL_DIRECT)
			ret->https = socks;
	}
	gnome_ignore(ret, text, fault);
	return n > 0;
}

/* Return: 1: U is set from KEY; 0: nothing there. */
static int kde_proxy(struct proxyctl_upstream *u, const char *section, const char *key, struct fault *fault)
{
	char value[VALUE_MAX];
	char *blank;

	if (!find_line(section, key, value, sizeof(value)) || !*value)
		return 0;
	/* "http://proxy.corp 3128": a blank before the port. */
	blank = strchr(value, ' ');
	if (blank)
		*blank = ':';
	return proxy_url_parse(u, value, kde, fault) >= 0;
}

int proxy_desktop_kde(struct proxyctl_settings *ret, const char *text, struct fault *fault)
{
	const char *section = strstr(text, "[Proxy Settings]\n"), *end;
	char copy[LINE_MAX_], value[VALUE_MAX];
	struct proxyctl_upstream socks;
	int n;

	proxy_settings_none(ret, "system: no proxy set");
	if (!section)
		return 0;
	section += strlen("[Proxy Settings]\n");
	end = strstr(section, "\n[");
	snprintf(copy, sizeof(copy), "%.*s", end ? (int)(end - section) : (int)strnlen(section, sizeof(copy)), section);
	if (!find_line(copy, "ProxyType=", value, sizeof(value)) || !strcmp(value, "0") || !strcmp(value, "4"))
		return 0;
	if (strcmp(value, "1")) {
		fault_set(fault, -ENOTSUP, "KDE's proxy settings are automatic (a script), which is not "
				"supported; set proxy to manual");
		proxy_settings_none(ret, "system: KDE's automatic configuration is not supported");
		return 0;
	}
	n = kde_proxy(&ret->http, copy, "httpProxy=", fault) + kde_proxy(&ret->https, copy, "httpsProxy=", fault);
	if (kde_proxy(&socks, copy, "socksProxy=", fault)) {
		n++;
		if (ret->http.kind == PROXYCTL_DIRECT)
			ret->http = socks;
		if (ret->https.kind == PROXYCTL_DIRECT)
			ret->https = socks;
	}
	if (find_line(copy, "NoProxyFor=", value, sizeof(value)))
		(void)proxy_exclude_add(ret, value, fault);
	return n > 0;
}
