/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qmp: codec of QEMU's machine protocol, see qmp.h.
 *
 * Unlike our own corridors, unknown keys are allowed: QEMU adds some with every version.
 */
#include "proto/qmp.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

static const char *const command_names[QMP_COMMAND_MAX] = {
	[QMP_CAPABILITIES] = "qmp_capabilities",
	[QMP_QUERY_STATUS] = "query-status",
	[QMP_QUIT] = "quit",
};

static void json_freep(json_t **json)
{
	json_decref(*json);
}

int qmp_encode(enum qmp_command command, uint32_t id, char *dst, size_t size)
{
	int n;

	if ((unsigned int)command >= QMP_COMMAND_MAX)
		return trace(-EINVAL);
	n = snprintf(dst, size, "{\"execute\":\"%s\",\"id\":%u}\n", command_names[command], id);
	if (n < 0 || (size_t)n >= size)
		return trace(-EMSGSIZE);
	return n;
}

int qmp_line(const char *buf, size_t len)
{
	size_t max = len < QMP_LINE_MAX ? len : QMP_LINE_MAX;
	const char *end = memchr(buf, '\n', max);

	if (end)
		return (int)(end - buf) + 1;
	return len >= QMP_LINE_MAX ? trace(-EMSGSIZE) : 0;
}

static void copy_text(char *dst, size_t size, const json_t *value)
{
	const char *s = json_string_value(value);

	dst[0] = '\0';
	if (s)
		text_escape(dst, size, s, strlen(s));
}

static int decode_id(uint32_t *ret, const json_t *json)
{
	const json_t *id = json_object_get(json, "id");
	json_int_t v = json_integer_value(id);

	if (id && (!json_is_integer(id) || v < 0 || v > UINT32_MAX))
		return trace(-EBADMSG);
	*ret = (uint32_t)v;
	return 0;
}

static int decode_greeting(struct qmp_message *m, const json_t *greeting)
{
	const json_t *qemu = json_object_get(json_object_get(greeting, "version"), "qemu");
	json_int_t major = json_integer_value(json_object_get(qemu, "major"));
	json_int_t minor = json_integer_value(json_object_get(qemu, "minor"));

	if (major < 1 || major > 10000 || minor < 0 || minor > 10000)
		return trace(-EBADMSG);
	m->kind = QMP_GREETING;
	m->major = (uint32_t)major;
	m->minor = (uint32_t)minor;
	return 0;
}

static void decode_event(struct qmp_message *m, const json_t *json, const json_t *event)
{
	const json_t *data = json_object_get(json, "data");
	const json_t *text = json_object_get(data, "reason");

	m->kind = QMP_EVENT;
	copy_text(m->name, sizeof(m->name), event);
	copy_text(m->text, sizeof(m->text), text ? text : json_object_get(data, "action"));
}

int qmp_decode(struct qmp_message *ret, const char *line, size_t len)
{
	_cleanup_(json_freep) json_t *json = NULL;
	struct qmp_message m = {0};
	const json_t *v;
	int r = 0;

	if (len > QMP_LINE_MAX)
		return trace(-EBADMSG);
	json = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(json))
		return trace(-EBADMSG);
	v = json_object_get(json, "QMP");
	if (v) {
		r = decode_greeting(&m, v);
	} else if ((v = json_object_get(json, "event"))) {
		if (!json_is_string(v))
			return trace(-EBADMSG);
		decode_event(&m, json, v);
	} else if ((v = json_object_get(json, "return"))) {
		m.kind = QMP_RETURN;
		copy_text(m.name, sizeof(m.name), json_object_get(v, "status"));
		r = decode_id(&m.id, json);
	} else if ((v = json_object_get(json, "error"))) {
		m.kind = QMP_ERROR;
		copy_text(m.name, sizeof(m.name), json_object_get(v, "class"));
		copy_text(m.text, sizeof(m.text), json_object_get(v, "desc"));
		r = decode_id(&m.id, json);
	} else {
		return trace(-EBADMSG);
	}
	if (r)
		return r;
	*ret = m;
	return 0;
}
