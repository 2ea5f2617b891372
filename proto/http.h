/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http: strict HTTP/1.1 heads and bodies (RFC 9112), both directions. Pure: no I/O, no allocation.
 *
 * What could be read in two ways is refused: bare CR or LF, obs-fold, space before a colon, Content-Length twice or
 * beside Transfer-Encoding, any coding but one "chunked", chunk extensions, two Host fields. Incremental: a decoder
 * is called again with more bytes until it says that it has enough. Slices point into the caller's buffer and
 * live as long as that. Who may call it: backend, ui, devices/net (proxy).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/bytes.h"

enum {
	HTTP_HEAD_MAX = 65536,	  /* start line and all fields; X-Registry-Config of a build is large */
	HTTP_FIELDS_MAX = 64,
	HTTP_METHOD_MAX = 16,
	HTTP_TARGET_MAX = 16384,
	HTTP_TRAILERS_MAX = 4096, /* all trailer fields of one body; checked, then dropped */
};
#define HTTP_LENGTH_MAX ((uint64_t)1 << 62)

struct http_slice {
	const char *p;
	size_t len;
};
struct http_field {
	struct http_slice name, value;
};

enum http_framing {
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH,
	HTTP_BODY_CHUNKED,
	HTTP_BODY_TO_END, /* responses: until the connection ends */
	HTTP_BODY_RAW,	  /* after 101: no HTTP any more, both directions */
};
enum http_target { HTTP_TARGET_ORIGIN, HTTP_TARGET_ABSOLUTE, HTTP_TARGET_AUTHORITY, HTTP_TARGET_ASTERISK };

struct http_head {
	struct http_slice method, target; /* requests */
	enum http_target target_form;
	unsigned int status; /* responses: 100 to 599 */
	struct http_slice reason;
	unsigned int minor; /* HTTP/1.MINOR, 0 or 1 */
	size_t n_fields;
	struct http_field fields[HTTP_FIELDS_MAX];
	enum http_framing framing;
	uint64_t content_length; /* HTTP_BODY_LENGTH */
	bool keep_alive;
	bool upgrade;	      /* "Connection: upgrade" and an Upgrade field */
	bool expect_continue;
};

/* Decodes the request head at the start of SRC[0..LEN). Return: its length (> 0); 0: more bytes are needed;
 * -EBADMSG: not acceptable HTTP; -EMSGSIZE: over a limit above. *RET_WHY (may be NULL): a static sentence then. */
ssize_t http_request_decode(struct http_head *ret, const char *src, size_t len, const char **ret_why);
/* As above for a response; TO_HEAD: the request was a HEAD, so no body follows. */
ssize_t http_response_decode(struct http_head *ret, const char *src, size_t len, bool to_head, const char **ret_why);
/* The field NAME (any case), NULL when absent or present more than once. */
const struct http_slice *http_field_find(const struct http_head *head, const char *name);
bool http_slice_is(struct http_slice s, const char *text);	/* bytes equal */
bool http_slice_is_nocase(struct http_slice s, const char *text);

/* Body decoder. States: more (http_body_decode may be called), done, bad. */
struct http_body {
	enum http_framing framing;
	uint32_t step;
	uint32_t n_digits, n_trailer;
	uint64_t remaining; /* of the body, or of the chunk */
	bool done;
};
void http_body_start(struct http_body *body, const struct http_head *head);
/* Takes bytes off SRC[0..LEN): *RET_DATA (a slice of SRC, may be empty) is payload. Call again with the rest until it
 * takes nothing. HTTP_BODY_TO_END and _RAW are never done by themselves. Return: bytes taken; -EBADMSG. */
ssize_t http_body_decode(struct http_body *body, const char *src, size_t len, struct http_slice *ret_data);
/* Payload bytes that come next without any framing between them, for callers that move them unseen ... */
uint64_t http_body_plain(const struct http_body *body);
/* ... and that they moved N (at most that many). */
void http_body_skip(struct http_body *body, uint64_t n);

/* Encoders into a bytes_writer; anything that would not decode again makes w->ok false. */
void http_put_request(struct bytes_writer *w, const char *method, const char *target);
void http_put_status(struct bytes_writer *w, unsigned int status, const char *reason);
void http_put_field(struct bytes_writer *w, const char *name, const char *value);
void http_put_field_u64(struct bytes_writer *w, const char *name, uint64_t value);
void http_put_end(struct bytes_writer *w);
/* One chunk; LEN 0 is the last chunk with the closing empty line. */
void http_put_chunk(struct bytes_writer *w, const void *data, size_t len);
const char *http_reason(unsigned int status);
