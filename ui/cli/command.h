/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command: the table of subcommands is the program: parser, help, completion and man page test all read it.
 *
 * A command is one row and one run function in a file of its own. Who may call it: ui/cli only.
 * Nothing here starts a process or opens a socket.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* What the shell sees. The same numbers stand in caisson(1). */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NOT_RUNNING = 3,
	CLI_TIMED_OUT = 4,
	CLI_CANCELLED = 130,
};

enum option_kind {
	OPTION_FLAG,	/* no value */
	OPTION_TIMEOUT, /* seconds; 0 and -1: none */
	OPTION_COUNT,	/* a number */
	OPTION_CHOICE,	/* one of choices */
	OPTION_TEXT,	/* checked by the command */
};

enum { COMMAND_OPTIONS_MAX = 8, COMMAND_WORDS_MAX = 16, TIMEOUT_MAX_S = 86400, LINES_MAX = 1000000 };

struct option_spec {
	const char *name;
	char letter; /* 0: none */
	enum option_kind kind;
	const char *metavar;
	const char *const *choices; /* NULL-terminated */
	const char *help;
};

struct option_value {
	bool set;
	const char *text; /* as typed */
	uint64_t number;  /* OPTION_TIMEOUT (0: none), OPTION_COUNT */
};

struct cli;
struct invocation;

/* What a shell may offer for a command's words. */
enum word_kind { WORD_NONE, WORD_SETTING, WORD_COMMAND, WORD_SHELL };

struct command {
	const char *name;
	const char *sub;     /* second word, NULL: the command is one word */
	const char *words;   /* synopsis of the words behind it, NULL: none */
	const char *summary; /* one line, no full stop */
	const char *details; /* for --help, NULL: none */
	const char *man;     /* file in docs/man */
	const struct option_spec *options;
	size_t n_options;
	size_t min_words, max_words;
	enum word_kind word_kind;
	bool root_allowed; /* reads nothing of a user's desktop */
	int (*run)(struct cli *cli, const struct invocation *inv);
};

struct invocation {
	const struct command *command;
	struct option_value values[COMMAND_OPTIONS_MAX];
	const char *words[COMMAND_WORDS_MAX];
	size_t n_words;
	bool help;
};

extern const struct command commands[];
extern const size_t n_commands;
extern const struct option_spec option_help; /* every command has it */

/* Finds the command that ARGV begins with. Return: number of arguments it takes (1 or 2) with *RET; 0 when only a
 * group ("settings") was named and a second word is missing; -ENOENT with FAULT naming the nearest. */
int command_find(char *const *argv, size_t n, const struct command **ret, struct fault *fault);
/* Parses what follows the command's own words. Return: 0, or -EINVAL with FAULT. */
int command_parse(const struct command *command, char *const *argv, size_t n, struct invocation *ret,
		  struct fault *fault);
/* Value of option NAME, which must be in the command's table (a wrong name ends the program: a bug). */
const struct option_value *option_value(const struct invocation *inv, const char *name);
static inline bool option_is(const struct invocation *inv, const char *name)
{
	return option_value(inv, name)->set;
}
/* "--format json" was given. */
bool option_wants_json(const struct invocation *inv);
