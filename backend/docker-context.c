/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docker-context: theory of operation.
 *
 * Order of a start: meta.json, then run/context.json (what is current now), then config.json. A crash between any two
 * leaves either nothing changed or a memory that the next start finds: if our context is current and a memory exists,
 * the memory is kept, not overwritten with our own name. Order of a stop: config.json, then the memory goes, then
 * the endpoint goes back to its resting place.
 *
 * jansson keeps the order of members and every value's meaning; a file with numbers it cannot hold does not parse
 * and is therefore left alone. Go, which reads the file, takes member names in any case: so do we.
 */
#include "backend/docker-context.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/path.h"

/* SHA-256 of the context's name, the docker CLI's name for its directory. */
#define CONTEXT_ID "fe9c6bd7a66301f49ca9b6a70b217107cd1284598bfc254700c989b916da791e"
#define CONTEXT_DESCRIPTION "Caisson"
#define CONFIG_FILE "config.json"
#define CURRENT_KEY "currentContext"
#define MEMORY_FILE "context.json"
#define KEPT_META_FILE "context-meta.before.json" /* somebody else's context of our name */

enum { DOCKER_FILE_MAX = 1 << 20 };

static void decref_json(json_t *json)
{
	json_decref(json);
}
DEFINE_CLEANUP(json_t *, decref_json)
#define _cleanup_json_ _cleanup_(decref_jsonp)

static void warn(struct docker_context *context, int r, const char *what)
{
	struct fault fault = FAULT_INIT;

	if (context->warning[0])
		return;
	fault_set(&fault, r, "The docker context was not changed: %s%s%s.", what, r ? ": " : "", r ? strerror(-r) : "");
	memcpy(context->warning, fault.text, sizeof(context->warning));
}

void docker_context_open(struct docker_context *context, const char *home, int run_fd)
{
	const char *set = getenv("DOCKER_CONFIG");
	_cleanup_free_ char *path = NULL;
	int r;

	context->run_fd = run_fd;
	if (set && *set)
		path = strdup(set);
	else if (path_join(home, ".docker", &path) < 0)
		path = NULL;
	r = path ? fd_open_dir_path(path, true) : -ENOMEM;
	if (r < 0)
		warn(context, r, "the docker configuration directory cannot be used");
	else
		context->config_fd = r;
}

/* Reads an object. Return: 0; -ENOENT; -EBADMSG: not a JSON object; -errno. */
static int load_object(int dir_fd, const char *name, json_t **ret)
{
	_cleanup_free_ char *text = NULL;
	json_t *root;
	size_t len;
	int r;

	r = fd_read_file(dir_fd, name, DOCKER_FILE_MAX, &text, &len);
	if (r < 0)
		return r;
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(root)) {
		json_decref(root);
		return -EBADMSG;
	}
	*ret = root;
	return 0;
}

static int store_object(int dir_fd, const char *name, const json_t *root, mode_t mode)
{
	_cleanup_free_ char *text = json_dumps(root, JSON_INDENT(8));
	size_t len;

	if (!text)
		return trace(-ENOMEM);
	len = strlen(text);
	text[len] = '\n'; /* in place of the NUL: the buffer is written by length */
	return fd_replace_file(dir_fd, name, text, len + 1, mode);
}

/* The name under which KEY is in ROOT, in whatever case; NULL when absent. */
static const char *find_key(json_t *root, const char *key)
{
	const char *k;
	json_t *v;

	json_object_foreach(root, k, v)
		if (!strcasecmp(k, key))
			return k;
	return NULL;
}

static int store_config(struct docker_context *context, const json_t *root)
{
	mode_t mode = 0600;
	struct stat st;

	/* It may hold credentials: never wider than it was. */
	if (fstatat(context->config_fd, CONFIG_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0)
		mode = st.st_mode & 0777;
	return store_object(context->config_fd, CONFIG_FILE, root, mode);
}

/* Writes meta.json with endpoint HOST, unless it is so already. */
static int write_meta(struct docker_context *context, const char *host)
{
	_cleanup_close_ int contexts_fd = -EBADF, meta_fd = -EBADF, id_fd = -EBADF;
	_cleanup_json_ json_t *old = NULL, *new = NULL;
	const char *description = NULL;
	int r;

	contexts_fd = fd_open_dir(context->config_fd, "contexts", true);
	if (contexts_fd < 0)
		return contexts_fd;
	meta_fd = fd_open_dir(contexts_fd, "meta", true);
	if (meta_fd < 0)
		return meta_fd;
	id_fd = fd_open_dir(meta_fd, CONTEXT_ID, true);
	if (id_fd < 0)
		return id_fd;
	new = json_pack("{s:s, s:{s:s}, s:{s:{s:s, s:b}}}", "Name", DOCKER_CONTEXT_NAME, "Metadata", "Description",
			CONTEXT_DESCRIPTION, "Endpoints", "docker", "Host", host, "SkipTLSVerify", 0);
	if (!new)
		return trace(-ENOMEM);
	r = load_object(id_fd, "meta.json", &old);
	if (r == 0 && json_equal(old, new))
		return 0;
	/* Somebody else's context of this name is kept once, not destroyed. */
	if (r == 0 && (json_unpack(old, "{s:{s:s}}", "Metadata", "Description", &description) < 0 ||
		       strcmp(description, CONTEXT_DESCRIPTION)))
		(void)store_object(context->run_fd, KEPT_META_FILE, old, 0600);
	return store_object(id_fd, "meta.json", new, 0644);
}

/* Remembers what is current before us; keeps an older memory when a crash left us current. */
static int remember(struct docker_context *context, const char *current)
{
	_cleanup_json_ json_t *memory = NULL, *fresh = NULL;
	const char *previous = current;
	int r;

	r = load_object(context->run_fd, MEMORY_FILE, &memory);
	if (r == 0 && current && !strcmp(current, DOCKER_CONTEXT_NAME)) {
		previous = json_string_value(json_object_get(memory, "Previous"));
	} else {
		fresh = json_pack("{s:i, s:s?}", "Format", 1, "Previous", current);
		r = fresh ? store_object(context->run_fd, MEMORY_FILE, fresh, 0600) : -ENOMEM;
		if (r < 0)
			return r;
	}
	context->previous = previous ? strdup(previous) : NULL;
	return previous && !context->previous ? trace(-ENOMEM) : 0;
}

static int make_current(struct docker_context *context)
{
	_cleanup_json_ json_t *root = NULL;
	const char *key, *current;
	int r;

	r = load_object(context->config_fd, CONFIG_FILE, &root);
	if (r == -ENOENT)
		root = json_object();
	else if (r < 0)
		return r;
	key = find_key(root, CURRENT_KEY);
	current = key ? json_string_value(json_object_get(root, key)) : NULL;
	r = remember(context, current);
	if (r < 0)
		return r;
	context->current = current && !strcmp(current, DOCKER_CONTEXT_NAME);
	if (context->current)
		return 0;
	if (json_object_set_new(root, key ? key : CURRENT_KEY, json_string(DOCKER_CONTEXT_NAME)) < 0)
		return trace(-ENOMEM);
	r = store_config(context, root);
	context->current = r >= 0;
	return r;
}

void docker_context_enter(struct docker_context *context, const char *socket)
{
	int r;

	if (asprintf(&context->host, "unix://%s", socket) < 0) {
		context->host = NULL;
		warn(context, -ENOMEM, "no memory");
		return;
	}
	if (context->config_fd < 0)
		return;
	r = write_meta(context, context->host);
	if (r < 0) {
		warn(context, r, "its directory cannot be written");
		return;
	}
	r = make_current(context);
	if (r == -EBADMSG)
		warn(context, 0, CONFIG_FILE " in the docker configuration directory is not valid JSON and was left alone");
	else if (r < 0)
		warn(context, r, CONFIG_FILE " in the docker configuration directory cannot be used");
}

/* Makes the previous context current again if ours still is. */
static int restore(struct docker_context *context)
{
	_cleanup_json_ json_t *root = NULL;
	const char *key, *current;
	int r;

	r = load_object(context->config_fd, CONFIG_FILE, &root);
	if (r < 0)
		return r;
	key = find_key(root, CURRENT_KEY);
	current = key ? json_string_value(json_object_get(root, key)) : NULL;
	if (!current || strcmp(current, DOCKER_CONTEXT_NAME))
		return 0;
	if (context->previous && !strcmp(context->previous, DOCKER_CONTEXT_NAME))
		return 0;
	r = context->previous ? json_object_set_new(root, key, json_string(context->previous)) :
				json_object_del(root, key);
	if (r < 0)
		return trace(-ENOMEM);
	return store_config(context, root);
}

void docker_context_leave(struct docker_context *context, const char *resting)
{
	_cleanup_free_ char *host = NULL;
	int r;

	if (context->config_fd < 0 || !context->host)
		return;
	r = context->current ? restore(context) : 0;
	if (r >= 0 || r == -ENOENT)
		(void)unlinkat(context->run_fd, MEMORY_FILE, 0);
	context->current = false;
	if (asprintf(&host, "unix://%s", resting) < 0)
		return;
	(void)write_meta(context, host);
}

void docker_context_recover(struct docker_context *context, const char *resting)
{
	_cleanup_json_ json_t *memory = NULL;
	const char *previous;

	if (context->config_fd < 0 || load_object(context->run_fd, MEMORY_FILE, &memory) < 0)
		return;
	previous = json_string_value(json_object_get(memory, "Previous"));
	context->previous = previous ? strdup(previous) : NULL;
	context->host = strdup(resting); /* leave() asks only whether there is one */
	context->current = !previous || context->previous;
	docker_context_leave(context, resting);
}

void docker_context_done(struct docker_context *context)
{
	context->config_fd = fd_close(context->config_fd);
	free(context->host);
	free(context->previous);
	*context = (struct docker_context)DOCKER_CONTEXT_INIT;
}
