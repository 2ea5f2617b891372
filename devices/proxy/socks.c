/* SPDX-License-Identifier: Apache-2.0 */
/* socks: see the header. Called by devices/proxy; never does I/O, never allocates. */
#include "devices/proxy/socks.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"

enum { VERSION = 5, METHOD_NONE = 0, METHOD_PASSWORD = 2, METHOD_NOT_ANY = 0xff, AUTH_VERSION = 1, COMMAND_CONNECT = 1,
       TYPE_IPV4 = 1, TYPE_NAME = 3, TYPE_IPV6 = 4 };

static int fail(int r, const char *why, const char **ret_why)
{
	*ret_why = why;
	return r;
}

size_t socks_start(struct socks *socks, uint8_t out[static SOCKS_OUT_MAX])
{
	bool password = socks->user[0] != '\0';

	socks->state = SOCKS_METHOD;
	out[0] = VERSION;
	out[1] = password ? 2 : 1;
	out[2] = METHOD_NONE;
	out[3] = METHOD_PASSWORD;
	return password ? 4 : 3;
}

static void put_text(struct bytes_writer *w, const char *text)
{
	size_t len = strlen(text);

	bytes_put8(w, (uint8_t)len);
	bytes_put(w, text, len);
}

static void put_port(struct bytes_writer *w, uint16_t port)
{
	bytes_put8(w, (uint8_t)(port >> 8));
	bytes_put8(w, (uint8_t)port);
}

static size_t put_connect(struct socks *socks, uint8_t out[static SOCKS_OUT_MAX])
{
	struct bytes_writer w = bytes_writer(out, SOCKS_OUT_MAX);

	socks->state = SOCKS_REPLY;
	bytes_put8(&w, VERSION);
	bytes_put8(&w, COMMAND_CONNECT);
	bytes_put8(&w, 0);
	if (!socks->addr) {
		bytes_put8(&w, TYPE_NAME);
		put_text(&w, socks->host);
	} else if (net_addr_is_v4(socks->addr)) {
		bytes_put8(&w, TYPE_IPV4);
		bytes_put(&w, socks->addr->byte + 12, 4);
	} else {
		bytes_put8(&w, TYPE_IPV6);
		bytes_put(&w, socks->addr->byte, 16);
	}
	put_port(&w, socks->port);
	return w.off;
}

static size_t put_auth(struct socks *socks, uint8_t out[static SOCKS_OUT_MAX])
{
	struct bytes_writer w = bytes_writer(out, SOCKS_OUT_MAX);

	socks->state = SOCKS_AUTH;
	bytes_put8(&w, AUTH_VERSION);
	put_text(&w, socks->user);
	put_text(&w, socks->password);
	return w.off;
}

static int on_method(struct socks *socks, const uint8_t *src, uint8_t *out, size_t *ret_out, const char **ret_why)
{
	if (src[0] != VERSION)
		return fail(-EBADMSG, "it does not speak SOCKS5", ret_why);
	if (src[1] == METHOD_NONE)
		*ret_out = put_connect(socks, out);
	else if (src[1] == METHOD_PASSWORD && socks->user[0])
		*ret_out = put_auth(socks, out);
	else if (src[1] == METHOD_NOT_ANY)
		return fail(-EACCES, socks->user[0] ? "it takes no user name and password" : "it wants a user "
				"name and password", ret_why);
	else
		return fail(-EBADMSG, "it chose a method that was not offered", ret_why);
	return 0;
}

/* Return: length of the reply, 0 when it is not whole yet, -EBADMSG. */
static int reply_len(const uint8_t *src, size_t len)
{
	if (len < 5)
		return 0;
	switch (src[3]) {
	case TYPE_IPV4:
		return 4 + 4 + 2;
	case TYPE_IPV6:
		return 4 + 16 + 2;
	case TYPE_NAME:
		return 4 + 1 + src[4] + 2;
	default:
		return -EBADMSG;
	}
}

static int on_reply(uint8_t code, const char **ret_why)
{
	static const struct {
		int r;
		const char *why;
	} codes[] = {
		[1] = {-EIO, "it failed in general"},		  [2] = {-EPERM, "its rules forbid this target"},
		[3] = {-ENETUNREACH, "the network is unreachable from it"}, [4] = {-EHOSTUNREACH,
				"the host is unreachable from it"},
		[5] = {-ECONNREFUSED, "the target refused its connection"}, [6] = {-ETIMEDOUT, "its connection took too long"},
		[7] = {-EOPNOTSUPP, "it does not support connections"}, [8] = {-EAFNOSUPPORT,
				"it does not support this kind of address"},
	};

	if (!code)
		return SOCKS_E_DONE;
	if (code < ARRAY_SIZE(codes))
		return fail(codes[code].r, codes[code].why, ret_why);
	return fail(-EIO, "it failed for a reason of its own", ret_why);
}

int socks_feed(struct socks *socks, const uint8_t *src, size_t len, size_t *ret_taken, uint8_t out[static SOCKS_OUT_MAX],
	       size_t *ret_out, const char **ret_why)
{
	int need;

	*ret_taken = *ret_out = 0;
	switch (socks->state) {
	case SOCKS_METHOD:
		if (len < 2)
			return 0;
		*ret_taken = 2;
		return on_method(socks, src, out, ret_out, ret_why);
	case SOCKS_AUTH:
		if (len < 2)
			return 0;
		*ret_taken = 2;
		if (src[0] != AUTH_VERSION || src[1])
			return fail(-EACCES, "it refused the user name or password", ret_why);
		*ret_out = put_connect(socks, out);
		return 0;
	case SOCKS_REPLY:
		need = reply_len(src, len);
		if (need < 0 || (len && src[0] != VERSION) || (len > 2 && src[2]))
			return fail(-EBADMSG, "its reply is not SOCKS5", ret_why);
		if (len >= 2 && src[1])
			return on_reply(src[1], ret_why);
		if (!need || len < (size_t)need)
			return 0;
		*ret_taken = (size_t)need;
		socks->state = SOCKS_DONE;
		return on_reply(0, ret_why);
	case SOCKS_DONE:
		break;
	}
	return SOCKS_E_DONE;
}
