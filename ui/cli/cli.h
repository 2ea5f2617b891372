/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli: what every command has: how it was called, the user's directories, the output.
 *
 * Who may call it: ui/cli only. It never writes outside ~/.docker.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "ui/cli/command.h"
#include "ui/cli/output.h"

struct cli {
	const char *program; /* "caisson", or "docker desktop" as a plug-in: for sentences and help */
	bool plugin;
	struct output out;
	char *home;  /* see cli_home */
	char *state; /* HOME/.docker/desktop */
};

/* The user's home directory by the same rule as the backend: $HOME when it is a clean absolute path to a
 * directory of this user, else the password database's. *RET is malloc'ed. Return: 0, -ENOENT with FAULT. */
int cli_home(char **ret, struct fault *fault);
/* Directory descriptor of STATE/NAME ("": STATE itself). Return: descriptor or -errno. */
int cli_open_dir(const struct cli *cli, const char *name, bool create);
/* libexec program NAME beside this one; *RET is malloc'ed. Return: 0 or -errno. */
int cli_program(const char *name, char **ret);
/* Prints the fault's sentence (or the errno's where there is none). Return: CLI_FAILED. */
int cli_failed(const struct cli *cli, const struct fault *fault, int r);
/* Link ~/.docker/cli-plugins/docker-desktop to this program, so that `docker desktop` works; leaves anything
 * that is not our own link alone. Failure is not told: docker works without it. */
void cli_install_plugin(const struct cli *cli);
/* Microseconds of the monotonic clock and of the calendar. */
uint64_t cli_now_us(void);
uint64_t cli_wall_us(void);

/* Run functions of the table; each in a file of its name. Return: enum cli_exit. */
int run_start(struct cli *cli, const struct invocation *inv);
int run_stop(struct cli *cli, const struct invocation *inv);
int run_restart(struct cli *cli, const struct invocation *inv);
int run_status(struct cli *cli, const struct invocation *inv);
int run_check(struct cli *cli, const struct invocation *inv);
int run_logs(struct cli *cli, const struct invocation *inv);
int run_settings_list(struct cli *cli, const struct invocation *inv);
int run_settings_get(struct cli *cli, const struct invocation *inv);
int run_settings_set(struct cli *cli, const struct invocation *inv);
int run_ports(struct cli *cli, const struct invocation *inv);
int run_net(struct cli *cli, const struct invocation *inv);
int run_net_capture(struct cli *cli, const struct invocation *inv);
int run_version(struct cli *cli, const struct invocation *inv);
int run_help(struct cli *cli, const struct invocation *inv);
int run_completion(struct cli *cli, const struct invocation *inv);

/* Help texts, from the table. */
void help_overview(const struct cli *cli, FILE *f);
void help_group(const struct cli *cli, const char *group, FILE *f);
void help_command(const struct cli *cli, const struct command *command, FILE *f);

/* Candidates for the last of ARGV[0..N) (words behind the program), one a line; stdout. Return: enum cli_exit. */
int complete_words(struct cli *cli, char *const *argv, size_t n, bool with_help);
