/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caisson: the command line, and the same binary as the docker CLI's plug-in "desktop" (argv[0] docker-desktop).
 *
 * main only decides how it was called and hands over to the table in commands.c. It never runs as root.
 */
#include <locale.h>
#include <string.h>

#include "base/fd.h"
#include "base/path.h"
#include "ui/cli/cli.h"
#include "ui/cli/plugin.h"

static int refuse_root(const struct cli *cli)
{
	const char *sudo = getenv("SUDO_USER");

	if (sudo && sudo[0] && strcmp(sudo, "root") != 0)
		output_error(&cli->out, "The desktop belongs to an ordinary user and does not run as root. Run this command "
			     "without sudo, as %s.", sudo);
	else
		output_error(&cli->out, "The desktop belongs to an ordinary user and does not run as root. Log in as that user, "
			     "or use: sudo --login --user=NAME %s ...", cli->program);
	return CLI_FAILED;
}

static int usage(const struct cli *cli, const struct fault *fault)
{
	output_error(&cli->out, "%s", fault->text);
	return CLI_USAGE;
}

static int find_home(struct cli *cli, struct fault *fault)
{
	int r = cli_home(&cli->home, fault);

	return r < 0 ? r : path_join(cli->home, ".docker/desktop", &cli->state);
}

static int run_command(struct cli *cli, char *const *argv, size_t n)
{
	struct fault fault = FAULT_INIT;
	const struct command *command = NULL;
	struct invocation inv;
	int r = command_find(argv, n, &command, &fault);

	if (r < 0)
		return usage(cli, &fault);
	if (r == 0) {
		bool help = n > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"));

		help_group(cli, argv[0], help ? stdout : stderr);
		return help ? CLI_OK : CLI_USAGE;
	}
	if (command_parse(command, argv + r, n - (size_t)r, &inv, &fault) < 0)
		return usage(cli, &fault);
	if (inv.help) {
		help_command(cli, command, stdout);
		return CLI_OK;
	}
	if (geteuid() == 0 && !command->root_allowed)
		return refuse_root(cli);
	r = find_home(cli, &fault);
	if (r < 0 && !command->root_allowed)
		return cli_failed(cli, &fault, r);
	return command->run(cli, &inv);
}

static int dispatch(struct cli *cli, char *const *argv, size_t n)
{
	static char help[] = "help", version[] = "version";
	static char *const help_argv[] = {help}, *const version_argv[] = {version};
	struct fault fault = FAULT_INIT;

	if (!n || (n == 1 && (!strcmp(argv[0], "--help") || !strcmp(argv[0], "-h"))))
		return run_command(cli, help_argv, 1);
	if (n == 1 && (!strcmp(argv[0], "--version") || !strcmp(argv[0], "-v")))
		return run_command(cli, version_argv, 1);
	if (!strcmp(argv[0], "__complete") || !strcmp(argv[0], "__completeNoDesc")) {
		if (geteuid() != 0)
			(void)find_home(cli, &fault); /* without one there are no settings to offer */
		return complete_words(cli, argv + 1, n - 1, !strcmp(argv[0], "__complete"));
	}
	return run_command(cli, argv, n);
}

int main(int argc, char **argv)
{
	struct cli cli = {.program = "caisson"};
	struct fault fault = FAULT_INIT;
	size_t skip = 1;
	int code;

	setlocale(LC_TIME, "C");
	if (fd_populate_std() < 0)
		return CLI_FAILED;
	output_init(&cli.out);
	if (plugin_is_name(argc > 0 ? argv[0] : "")) {
		cli.plugin = true;
		cli.program = "docker desktop";
		code = plugin_enter(argc, argv, &skip, &fault);
		if (code == PLUGIN_ANSWERED)
			return output_finish(&cli.out, CLI_OK);
		if (code < 0)
			return usage(&cli, &fault);
	}
	code = dispatch(&cli, argv + (argc > 0 ? skip : 0), argc > 0 ? (size_t)argc - skip : 0);
	code = output_finish(&cli.out, code);
	free(cli.home);
	free(cli.state);
	return code;
}
