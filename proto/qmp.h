/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qmp: lines of QEMU's machine protocol: a closed set of commands out, four kinds of message in.
 *
 * Carrier: a byte stream, one JSON object per line. QEMU may be taken over by its guest, so lines are bounded
 * and nothing of a message survives but the fields below, cut and escaped. Pure codec (jansson).
 * Specification: QEMU's docs/interop/qmp-spec. Used by machine only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { QMP_LINE_MAX = 65536, QMP_NAME_MAX = 48, QMP_TEXT_MAX = 192 };

enum qmp_command {
	QMP_CAPABILITIES, /* ends the negotiation */
	QMP_QUERY_STATUS,
	QMP_QUIT, /* QEMU exits at once, buffers of the disk flushed */
	QMP_COMMAND_MAX,
};
enum qmp_kind { QMP_GREETING, QMP_RETURN, QMP_ERROR, QMP_EVENT };

struct qmp_message {
	enum qmp_kind kind;
	uint32_t id;		   /* RETURN, ERROR: of the command; 0 when it had none */
	char name[QMP_NAME_MAX];   /* EVENT: its name; ERROR: its class; RETURN of query-status: the status */
	char text[QMP_TEXT_MAX];   /* EVENT: data.reason or data.action, "" when absent; ERROR: desc */
	uint32_t major, minor;	   /* GREETING: version of QEMU */
};

/* Writes one line with its newline. Return: length; -EMSGSIZE; -EINVAL. */
int qmp_encode(enum qmp_command command, uint32_t id, char *dst, size_t size);
/* Length of the first line of BUF[0..LEN) with its newline. Return: > 0; 0: more bytes are needed;
 * -EMSGSIZE: QMP_LINE_MAX bytes without a newline. */
int qmp_line(const char *buf, size_t len);
/* Decodes one line, with or without its newline. Return: 0; -EBADMSG. */
int qmp_decode(struct qmp_message *ret, const char *line, size_t len);
