/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api: client of the backend API (docs/protocol/backend-api.md): requests, and the event stream.
 *
 * One connection, one request at a time. The answering process must be this user's. Everything it says is
 * bounded and checked for form, and is still foreign text: print it through output_safe().
 * Who may call it: ui/cli only.
 */
#pragma once

#include <jansson.h>

#include "proto/http.h"
#include "ui/cli/cli.h"

enum { API_IN_MAX = HTTP_HEAD_MAX + 4096, API_BODY_MAX = 8 << 20, API_TIMEOUT_MS = 15000 };

struct api {
	int fd;
	int pidfd; /* of a one-shot backend, which ends with the connection */
	char *in;
	size_t in_len;
	char *body; /* payload not yet handed out */
	size_t body_len;
	struct http_body state;
};
#define API_INIT {.fd = -EBADF, .pidfd = -EBADF}

/* Connects to the running backend. Return: 0; -ENOENT: the desktop does not run; -errno with FAULT. */
int api_open(const struct cli *cli, struct api *ret, struct fault *fault);
/* Connects to the engine's socket instead: the same client, for the one question who owns a port. */
int api_open_engine(const struct cli *cli, struct api *ret, struct fault *fault);
/* Starts `caisson-backend --oneshot-api` for questions about a stopped desktop. Return: 0, -errno with FAULT. */
int api_open_oneshot(const struct cli *cli, struct api *ret, struct fault *fault);
/* The running backend, otherwise a one-shot one; *RET_RUNNING says which. */
int api_open_any(const struct cli *cli, struct api *ret, bool *ret_running, struct fault *fault);
/* Releases everything; safe on API_INIT and twice. */
void api_close(struct api *api);

/* One request. BODY may be NULL. *RET is the answer's JSON object (or, of the engine, array), also that of an error (caller releases it).
 * Return: 0: status below 400; API_E_REFUSED: 400 and above, FAULT has the backend's sentence; -errno with FAULT. */
enum { API_E_REFUSED = 1 };
int api_call(struct api *api, const char *method, const char *path, const json_t *body, json_t **ret,
	     struct fault *fault);

/* Asks for PATH, whose answer is a stream of bytes that ends with the connection: OPEN is called when it begins and gives the
 * descriptor (borrowed) that all of it is written to. Return: 0; API_E_REFUSED; -errno; both with FAULT. */
typedef int (*api_open_fn)(void *data, struct fault *fault);
int api_download(struct api *api, const char *path, api_open_fn open, void *data, uint64_t *ret_bytes, struct fault *fault);

/* Asks for the event stream; afterwards only api_event may be called. */
int api_events(struct api *api, struct fault *fault);
/* Next event if one is there or comes before the descriptor runs dry (never waits). Return: 1 with *RET (caller
 * releases); 0: none yet, poll api->fd; -ECONNRESET: the stream ended; -EBADMSG. */
int api_event(struct api *api, json_t **ret);

/* Members of an object, with a default for what is missing, null or of another type. */
const char *json_text(const json_t *object, const char *key, const char *fallback);
int64_t json_number(const json_t *object, const char *key, int64_t fallback);
bool json_flag(const json_t *object, const char *key);
static inline void json_release(json_t **p)
{
	json_decref(*p);
}
#define _cleanup_json_ _cleanup_(json_release)
