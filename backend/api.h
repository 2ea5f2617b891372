/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api: what each request of the backend API means (docs/protocol/backend-api.md). Takes a decoded request and the view, gives an
 * answer; reads and writes the settings file, nothing else. Who may call it: backend/api-server.
 */
#pragma once

#include <jansson.h>

#include "backend/net-query.h"
#include "backend/view.h"
#include "proto/http.h"

enum api_action {
	API_NOTHING,
	API_STREAM_EVENTS,
	API_STOP,
	API_STATUS,
	API_SETTINGS, /* the file has changed */
	API_QUERY,    /* what the network process knows: the body comes later */
	API_CAPTURE,  /* the body is written by the network process */
};

struct api_answer {
	unsigned int status;
	json_t *body; /* owned; NULL: out of memory, or an action whose body comes later */
	const char *allow;
	enum api_action action;
	bool force;	    /* API_STOP */
	uint32_t timeout_s; /* API_STOP */
	struct net_query_request query;	/* API_QUERY */
	struct netctl_capture capture;	/* API_CAPTURE */
};

enum { API_BODY_MAX = 65536, API_TIMEOUT_MAX_S = 3600, API_TIMEOUT_STANDARD_S = 60,
       API_CAPTURE_BYTES_MAX = 1 << 30, API_CAPTURE_BYTES_STANDARD = 64 << 20, API_CAPTURE_MS_MAX = 3600000,
       API_CAPTURE_MS_STANDARD = 60000, API_CAPTURE_SNAP_MIN = 64, API_CAPTURE_SNAP_MAX = 65535 };

/* HEAD is a decoded request, BODY its whole body. Never fails: *RET is always an answer. */
void api_handle(const struct view *view, const struct http_head *head, const char *body, size_t len,
		struct api_answer *ret);
/* An error answer. */
void api_refuse(struct api_answer *ret, unsigned int status, const char *code, const char *format, ...)
	_printf_(4, 5);
