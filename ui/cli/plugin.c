/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin: see plugin.h.
 *
 * The docker CLI runs a plug-in with its own whole command line: `docker --debug desktop status` becomes
 * `docker-desktop --debug desktop status`, `docker help desktop status` comes as `docker-desktop help desktop
 * status`, and completion as `docker-desktop __complete desktop st`. Which engine or context docker was
 * told to use does not matter here: the desktop of a user is one.
 */
#include "ui/cli/plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char plugin_word[] = "desktop";

/* docker's global options that take a value. */
static const char *const valued[] = {"--config", "-c", "--context", "-H", "--host", "-l", "--log-level",
				     "--tlscacert", "--tlscert", "--tlskey"};
static const char *const flags[] = {"-D", "--debug", "--tls", "--tlsverify", "-v", "--version"};

bool plugin_is_name(const char *argv0)
{
	const char *slash = strrchr(argv0, '/');

	return !strcmp(slash ? slash + 1 : argv0, "docker-desktop");
}

/* How many arguments the global option at ARGV[0] takes; 0: it is none. */
static int global_width(int n, char **argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(valued); i++) {
		size_t len = strlen(valued[i]);

		if (!strcmp(argv[0], valued[i]))
			return n > 1 ? 2 : 0;
		if (!strncmp(argv[0], valued[i], len) && (len == 2 ? argv[0][1] != '-' : argv[0][len] == '='))
			return 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (!strcmp(argv[0], flags[i]) || (!strncmp(argv[0], flags[i], strlen(flags[i])) && flags[i][1] == '-' &&
						   argv[0][strlen(flags[i])] == '='))
			return 1;
	return 0;
}

/* `docker --config DIR` decides where docker looks for contexts: the backend must see the same. */
static void take_config(char **argv)
{
	if (!strcmp(argv[0], "--config"))
		setenv("DOCKER_CONFIG", argv[1], 1);
	else if (!strncmp(argv[0], "--config=", 9))
		setenv("DOCKER_CONFIG", argv[0] + 9, 1);
}

static void print_metadata(void)
{
	printf("{\"SchemaVersion\":\"0.1.0\",\"Vendor\":\"Caisson\",\"Version\":\"%s\","
	       "\"ShortDescription\":\"Start, stop and watch the desktop's virtual machine\"}\n",
	       CAISSON_VERSION);
}

static bool is_completion(const char *word)
{
	return !strcmp(word, "__complete") || !strcmp(word, "__completeNoDesc");
}

int plugin_enter(int argc, char **argv, size_t *ret_skip, struct fault *fault)
{
	int i = 1, width;

	if (argc == 2 && !strcmp(argv[1], "docker-cli-plugin-metadata")) {
		print_metadata();
		return PLUGIN_ANSWERED;
	}
	while (i < argc && (width = global_width(argc - i, argv + i)) > 0) {
		take_config(argv + i);
		i += width;
	}
	if (i + 1 < argc && (is_completion(argv[i]) || !strcmp(argv[i], "help")) && !strcmp(argv[i + 1], plugin_word)) {
		argv[i + 1] = argv[i];
		*ret_skip = (size_t)i + 1;
		return 0;
	}
	if (i >= argc || strcmp(argv[i], plugin_word) != 0)
		return fault_set(fault, -EINVAL, "This program was started as a plug-in of docker, but not by it; "
				 "use 'docker desktop' or 'caisson'.");
	*ret_skip = (size_t)i + 1;
	return 0;
}
