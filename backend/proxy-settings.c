/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy-settings: see the header. A URL is taken apart from its ends: scheme, then what follows the last '@', then the port; what
 * is left over must be a name or an address. The result must pass the codec's own check, so that nothing is accepted here which
 * the proxy would refuse. Messages quote host and port at most: a password can stand in any wrong place of a wrong URL.
 * Called by backend. Never does I/O, never allocates.
 */
#include "backend/proxy-settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/text.h"

enum { ITEM_MAX = PROXYCTL_HOST_MAX + 8 };

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *p = c ? strchr(digits, c | 32) : NULL;

	if (c >= '0' && c <= '9')
		return c - '0';
	return p && p - digits > 9 ? (int)(p - digits) : -1;
}

/* Decodes %XX in SRC[0..LEN) into DST. Return: false: not a valid escape, a NUL or control byte, or too long. */
static bool percent_decode(char dst[static PROXYCTL_SECRET_MAX], const char *src, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)src[i];

		if (c == '%') {
			int high = len - i > 2 ? hex_digit(src[i + 1]) : -1, low = high < 0 ? -1 : hex_digit(src[i + 2]);

			if (low < 0)
				return false;
			c = high << 4 | low;
			i += 2;
		}
		if (c < 0x20 || c == 0x7f || n == PROXYCTL_SECRET_MAX - 1)
			return false;
		dst[n++] = (char)c;
	}
	dst[n] = '\0';
	return true;
}

/* The scheme of TEXT. Return: what follows it; NULL with FAULT. */
static const char *parse_scheme(struct proxyctl_upstream *u, const char *text, struct fault *fault)
{
	static const struct {
		const char *scheme;
		enum proxyctl_kind kind;
		uint16_t port;
	} schemes[] = {
		{"http://", PROXYCTL_HTTP, 80},		{"socks5://", PROXYCTL_SOCKS5, 1080},
		{"socks5h://", PROXYCTL_SOCKS5H, 1080}, {"socks://", PROXYCTL_SOCKS5H, 1080},
	};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t len = strlen(schemes[i].scheme);

		if (strncasecmp(text, schemes[i].scheme, len))
			continue;
		u->kind = schemes[i].kind;
		u->port = schemes[i].port;
		return text + len;
	}
	if (!strncasecmp(text, "https://", 8)) {
		fault_set(fault, -EINVAL, "a proxy that is itself spoken to over TLS (https://) is not supported; most proxies for "
			  "https targets are given as http://HOST:PORT");
		return NULL;
	}
	if (strstr(text, "://")) {
		fault_set(fault, -EINVAL, "the scheme of a proxy is http, socks5 or socks5h");
		return NULL;
	}
	u->kind = PROXYCTL_HTTP;
	u->port = 80;
	return text;
}

static int parse_user(struct proxyctl_upstream *u, const char *text, size_t len, struct fault *fault)
{
	const char *colon = memchr(text, ':', len);
	size_t user_len = colon ? (size_t)(colon - text) : len;

	if (!percent_decode(u->user, text, user_len) || (colon && !percent_decode(u->password, colon + 1, len - user_len - 1)))
		return fault_set(fault, -EINVAL, "the user name or password of the proxy is too long, or has a '%%' that is not "
				 "followed by two hexadecimal digits");
	if (!u->user[0])
		return fault_set(fault, -EINVAL, "the user name of the proxy is empty");
	if (u->kind == PROXYCTL_HTTP && strchr(u->user, ':'))
		return fault_set(fault, -EINVAL, "the user name of an HTTP proxy cannot contain ':'");
	return 0;
}

/* "HOST", "HOST:PORT", "[V6]", "[V6]:PORT" into lower case HOST and *PORT (kept when none is given). */
static bool parse_host_port(char host[static PROXYCTL_HOST_MAX], uint16_t *port, const char *text, size_t len)
{
	const char *end = text + len, *colon;
	size_t host_len;
	char number[8] = "";
	uint64_t n;

	if (len && text[0] == '[') {
		const char *close = memchr(text, ']', len);

		if (!close)
			return false;
		text++;
		host_len = (size_t)(close - text);
		colon = close + 1 < end ? close + 1 : NULL;
		if (!memchr(text, ':', host_len))
			return false;
	} else {
		colon = memchr(text, ':', len);
		host_len = colon ? (size_t)(colon - text) : len;
	}
	if (!host_len || host_len >= PROXYCTL_HOST_MAX)
		return false;
	for (size_t i = 0; i < host_len; i++)
		host[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 32) : text[i];
	host[host_len] = '\0';
	if (!colon)
		return true;
	if (*colon != ':' || (size_t)(end - colon - 1) >= sizeof(number))
		return false;
	memcpy(number, colon + 1, (size_t)(end - colon - 1));
	if (text_parse_u64(number, UINT16_MAX, &n) < 0 || !n)
		return false;
	*port = (uint16_t)n;
	return true;
}

int proxy_url_parse(struct proxyctl_upstream *ret, const char *text, const char *source, struct fault *fault)
{
	struct proxyctl_upstream u = {0};
	struct net_addr addr;
	const char *at, *host;
	size_t len;
	int r;

	if (strnlen(text, PROXY_URL_MAX) == PROXY_URL_MAX)
		return fault_set(fault, -EINVAL, "the address of the proxy is too long");
	for (const char *p = text; *p; p++)
		if (*p <= 0x20 || *p >= 0x7f)
			return fault_set(fault, -EINVAL, "the address of the proxy contains a blank or a "
					"character that is not ASCII");
	host = parse_scheme(&u, text, fault);
	if (!host)
		return -EINVAL;
	len = strlen(host);
	if (len && host[len - 1] == '/')
		len--;
	at = memrchr(host, '@', len);
	if (at) {
		r = parse_user(&u, host, (size_t)(at - host), fault);
		if (r < 0)
			return r;
		len -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	if (memchr(host, '/', len) || memchr(host, '?', len) || memchr(host, '#', len))
		return fault_set(fault, -EINVAL, "the address of a proxy has no path: "
				"http://[USER:PASSWORD@]HOST[:PORT]; write '/' in a "
				 "password as %%2F");
	if (!parse_host_port(u.host, &u.port, host, len) ||
	    (!proxyctl_name_ok(u.host) && !proxyctl_address_parse(u.host, &addr)))
		return fault_set(fault, -EINVAL, "the address of the proxy is not "
				"http://[USER:PASSWORD@]HOST[:PORT] (or socks5://, "
				 "socks5h://), PORT from 1 to 65535");
	snprintf(u.source, sizeof(u.source), "%s", source);
	*ret = u;
	return 0;
}

/* Address or CIDR, in the 128-bit form. Return: false when ITEM is neither; *BAD when it is one with a wrong length. */
static bool parse_net(struct proxyctl_exclude *e, const char *item, bool *bad)
{
	char copy[ITEM_MAX];
	char *slash;
	uint64_t len, most;

	snprintf(copy, sizeof(copy), "%s", item);
	slash = strchr(copy, '/');
	if (slash)
		*slash++ = '\0';
	if (!proxyctl_address_parse(copy, &e->addr))
		return false;
	most = strchr(copy, ':') ? 128 : 32;
	len = most;
	if (slash && text_parse_u64(slash, most, &len) < 0)
		*bad = true;
	e->kind = PROXYCTL_EXCLUDE_NET;
	e->prefix_len = (uint8_t)(128 - most + len);
	/* 10.1.2.3/8 means 10.0.0.0/8 in every no_proxy there is. */
	for (unsigned int bit = e->prefix_len; bit < 128; bit++)
		e->addr.byte[bit / 8] &= (uint8_t)~(0x80 >> bit % 8);
	return true;
}

static bool is_pattern(const char *text)
{
	return strpbrk(text, "*?") != NULL;
}

/* Return: NULL, or why ITEM is none. */
static const char *parse_exclude(struct proxyctl_exclude *e, char *item)
{
	char *colon = strrchr(item, ':');
	bool bad = false;
	uint64_t port;

	*e = (struct proxyctl_exclude){0};
	if (!strcasecmp(item, "<local>") || !strcasecmp(item, "<-loopback>")) {
		e->kind = PROXYCTL_EXCLUDE_LOCAL;
		return NULL;
	}
	if (parse_net(e, item, &bad))
		return bad ? "the prefix length is wrong" : NULL;
	if (item[0] == '[') {
		char *close = strchr(item, ']');

		if (!close || (close[1] && close[1] != ':'))
			return "an IPv6 address in brackets is [ADDRESS] or [ADDRESS]:PORT";
		colon = close[1] ? close + 1 : NULL;
		*close = '\0';
		item++;
	}
	if (colon) {
		*colon++ = '\0';
		if (text_parse_u64(colon, UINT16_MAX, &port) < 0 || !port)
			return "a port is a number from 1 to 65535";
		e->port = (uint16_t)port;
		if (parse_net(e, item, &bad))
			return bad ? "the prefix length is wrong" : NULL;
	}
	for (char *p = item; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p |= 32;
	if (!*item || strlen(item) >= sizeof(e->text))
		return "it is empty or too long";
	memcpy(e->text, item, strlen(item) + 1);
	e->kind = PROXYCTL_EXCLUDE_NAME;
	if (is_pattern(item)) {
		e->kind = PROXYCTL_EXCLUDE_GLOB;
		item += strspn(item, "*?.");
		return strspn(item, "abcdefghijklmnopqrstuvwxyz0123456789-_.*?:") == strlen(item)
			       ? NULL : "it is neither a name, a pattern, an address nor a CIDR";
	}
	if (item[0] == '.') {
		e->kind = PROXYCTL_EXCLUDE_SUFFIX;
		item++;
	}
	return proxyctl_name_ok(item) ? NULL : "it is neither a name, a pattern, an address nor a CIDR";
}

int proxy_exclude_add(struct proxyctl_settings *settings, const char *text, struct fault *fault)
{
	size_t used = 0;

	for (size_t i = 0; i < settings->n_excludes; i++)
		used += strlen(settings->exclude[i].text);
	while (*text) {
		size_t len = strcspn(text, ", \t;|\n");
		char item[ITEM_MAX], shown[64];
		const char *why;

		if (!len) {
			text++;
			continue;
		}
		text_escape(shown, sizeof(shown), text, len < 40 ? len : 40);
		if (settings->n_excludes == PROXYCTL_EXCLUDES_MAX || used + len > PROXYCTL_EXCLUDE_TEXT_MAX)
			return fault_set(fault, -EINVAL, "the list of exclusions has more than %d items or %d characters",
					 PROXYCTL_EXCLUDES_MAX, PROXYCTL_EXCLUDE_TEXT_MAX);
		if (len >= sizeof(item))
			return fault_set(fault, -EINVAL, "the exclusion \"%s...\" is too long", shown);
		memcpy(item, text, len);
		item[len] = '\0';
		why = parse_exclude(&settings->exclude[settings->n_excludes], item);
		if (why)
			return fault_set(fault, -EINVAL, "the exclusion \"%s\" is wrong: %s", shown, why);
		used += strlen(settings->exclude[settings->n_excludes].text);
		settings->n_excludes++;
		text += len;
	}
	return 0;
}

void proxy_settings_none(struct proxyctl_settings *ret, const char *source)
{
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->http.source, sizeof(ret->http.source), "%s", source);
	snprintf(ret->https.source, sizeof(ret->https.source), "%s", source);
}

int proxy_settings_manual(struct proxyctl_settings *ret, const struct proxy_settings *settings, struct fault *fault)
{
	const char *http = settings->http ? settings->http : "", *https = settings->https ? settings->https : "";
	int r = 0;

	proxy_settings_none(ret, settings->mode == PROXY_NONE ? "none" : "manual");
	if (settings->mode == PROXY_NONE)
		return 0;
	if (*http)
		r = proxy_url_parse(&ret->http, http, "manual", fault);
	if (r >= 0 && (*https || *http))
		r = proxy_url_parse(&ret->https, *https ? https : http, "manual", fault);
	if (r >= 0 && settings->exclude)
		r = proxy_exclude_add(ret, settings->exclude, fault);
	return r;
}

/* The value of the first variable of NAMES that is set and not empty; *RET_NAME is its name. */
static const char *first_set(proxy_getenv_fn get, void *data, const char *const names[static 4], const char **ret_name)
{
	for (size_t i = 0; i < 4 && names[i]; i++) {
		const char *value = get(data, names[i]);

		if (!value || !*value)
			continue;
		*ret_name = names[i];
		return value;
	}
	return NULL;
}

static int from_environment(struct proxyctl_upstream *u, proxy_getenv_fn get, void *data, const char *const names[static 4],
			    struct fault *fault)
{
	char source[PROXYCTL_SOURCE_MAX];
	struct fault own = FAULT_INIT;
	const char *name, *value = first_set(get, data, names, &name);

	if (!value)
		return 0;
	snprintf(source, sizeof(source), "system: environment %s", name);
	if (proxy_url_parse(u, value, source, &own) >= 0)
		return 1;
	fault_set(fault, -EINVAL, "%s: %s", name, own.text);
	snprintf(u->source, sizeof(u->source), "system: environment %s is wrong", name);
	return 1;
}

int proxy_settings_environment(struct proxyctl_settings *ret, proxy_getenv_fn get, void *data, struct fault *fault)
{
	static const char *const http[4] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"};
	static const char *const https[4] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
	static const char *const no[4] = {"no_proxy", "NO_PROXY"};
	struct fault own = FAULT_INIT;
	const char *name, *value;
	int n;

	proxy_settings_none(ret, "system: no proxy set");
	n = from_environment(&ret->http, get, data, http, fault) + from_environment(&ret->https, get, data, https, fault);
	value = first_set(get, data, no, &name);
	if (value && proxy_exclude_add(ret, value, &own) < 0)
		fault_set(fault, -EINVAL, "%s: %s", name, own.text);
	return n > 0;
}

int proxy_settings_check_url(const char *text, struct fault *fault)
{
	struct proxyctl_upstream u;
	int r = 0;

	if (text && *text) {
		r = proxy_url_parse(&u, text, "manual", fault);
		explicit_bzero(&u, sizeof(u));
	}
	return r;
}

int proxy_settings_check_exclude(const char *text, struct fault *fault)
{
	struct proxyctl_settings s = {0};

	return text ? proxy_exclude_add(&s, text, fault) : 0;
}

int proxy_settings_check(const struct proxy_settings *settings, struct fault *fault)
{
	int r;

	if ((unsigned int)settings->mode >= PROXY_MODE_MAX)
		return fault_set(fault, -EINVAL, "the mode of the proxy is system, manual or none");
	r = proxy_settings_check_url(settings->http, fault);
	if (r >= 0)
		r = proxy_settings_check_url(settings->https, fault);
	return r < 0 ? r : proxy_settings_check_exclude(settings->exclude, fault);
}

void proxy_settings_redact(const char *url, char *dst, size_t size)
{
	const char *scheme = strstr(url, "://"), *at = strrchr(url, '@');
	const char *rest = scheme ? scheme + 3 : url;
	char shown[PROXY_URL_MAX];

	if (at && at >= rest)
		snprintf(shown, sizeof(shown), "%.*s***@%s", (int)(rest - url), url, at + 1);
	else
		snprintf(shown, sizeof(shown), "%s", url);
	text_escape(dst, size, shown, strlen(shown));
}

static void describe(const struct proxyctl_upstream *u, char *dst, size_t size)
{
	static const char *const kinds[PROXYCTL_KIND_MAX] = {
		[PROXYCTL_HTTP] = "", [PROXYCTL_SOCKS5] = "SOCKS5 ", [PROXYCTL_SOCKS5H] = "SOCKS5 "};
	bool v6 = strchr(u->host, ':') != NULL;

	if (u->kind == PROXYCTL_DIRECT)
		snprintf(dst, size, "direct (%s)", u->source);
	else
		snprintf(dst, size, "through %s%s%s%s:%u%s (%s)", kinds[u->kind], v6 ? "[" : "", u->host, v6 ? "]" : "", u->port,
			 u->user[0] ? " with a password" : "", u->source);
}

void proxy_settings_describe(const struct proxyctl_settings *settings, char *dst, size_t size)
{
	char http[512], https[512];

	describe(&settings->http, http, sizeof(http));
	describe(&settings->https, https, sizeof(https));
	snprintf(dst, size, "http %s, https %s, %u exclusion%s", http, https, settings->n_excludes,
		 settings->n_excludes == 1 ? "" : "s");
}
