/* SPDX-License-Identifier: Apache-2.0 */
/* commands: THE table. A row without a summary is hidden from help. See command.h. */
#include "ui/cli/cli.h"

static const char *const formats[] = {"pretty", "json", NULL};

#define FORMAT_OPTION {"format", 0, OPTION_CHOICE, "pretty|json", formats, "how to print it; pretty is the default"}

const struct option_spec option_help = {"help", 'h', OPTION_FLAG, NULL, NULL, "show this help"};

static const struct option_spec start_options[] = {
	{"detach", 'd', OPTION_FLAG, NULL, NULL, "do not wait until the engine is ready"},
	{"timeout", 0, OPTION_TIMEOUT, "SECONDS", NULL, "stop waiting after that time (default 300; 0 or -1: never)"},
};
static const struct option_spec stop_options[] = {
	{"detach", 'd', OPTION_FLAG, NULL, NULL, "do not wait until the desktop has stopped"},
	{"force", 0, OPTION_FLAG, NULL, NULL, "end the machine at once, like a power cut"},
	{"timeout", 0, OPTION_TIMEOUT, "SECONDS", NULL, "stop waiting after that time (default: never)"},
};
static const struct option_spec restart_options[] = {
	{"detach", 'd', OPTION_FLAG, NULL, NULL, "do not wait until the engine is ready"},
	{"timeout", 0, OPTION_TIMEOUT, "SECONDS", NULL, "stop waiting after that time (default 300; 0 or -1: never)"},
};
static const struct option_spec format_options[] = {FORMAT_OPTION};
static const struct option_spec logs_options[] = {
	{"follow", 'f', OPTION_FLAG, NULL, NULL, "go on printing lines as they come"},
	{"lines", 'n', OPTION_COUNT, "N", NULL, "only the last N lines (with --follow: 10 if nothing else is given)"},
	{"since", 'S', OPTION_TEXT, "TIME", NULL, "only lines from that time on: 10m, 2h, today, 2026-11-22T10:00:00Z"},
	{"until", 0, OPTION_TEXT, "TIME", NULL, "only lines before that time"},
	{"unit", 'u', OPTION_TEXT, "UNIT[,UNIT...]", NULL, "only these parts: backend machine net proxy qemu console vm, or a unit in vm"},
};

static const struct option_spec net_options[] = {
	FORMAT_OPTION,
	{"flows", 0, OPTION_COUNT, "N", NULL, "show the first N connections (default 20)"},
};
static const struct option_spec capture_options[] = {
	{"max-size", 0, OPTION_TEXT, "SIZE", NULL, "end after that many bytes (default 64M, at most 1G)"},
	{"time", 0, OPTION_COUNT, "SECONDS", NULL, "end after that time (default 60, at most 3600)"},
	{"snap", 0, OPTION_COUNT, "BYTES", NULL, "keep at most that much of each packet (default 65535)"},
};

const struct command commands[] = {
	{.name = "start", .summary = "Start the desktop and wait until the engine is ready", .man = "caisson-start.1",
	 .details = "Ctrl-C stops again what was started.",
	 .options = start_options, .n_options = ARRAY_SIZE(start_options), .run = run_start},
	{.name = "stop", .summary = "Stop the desktop; containers get their stop time-outs", .man = "caisson-stop.1",
	 .options = stop_options, .n_options = ARRAY_SIZE(stop_options), .run = run_stop},
	{.name = "restart", .summary = "Stop the desktop if it runs, then start it", .man = "caisson-restart.1",
	 .options = restart_options, .n_options = ARRAY_SIZE(restart_options), .run = run_restart},
	{.name = "status", .summary = "Show whether the desktop runs, and how", .man = "caisson-status.1",
	 .details = "Exit code 0: running, 3: not running.",
	 .options = format_options, .n_options = ARRAY_SIZE(format_options), .run = run_status},
	{.name = "check", .summary = "Check what this computer offers for the virtual machine", .man = "caisson-check.1",
	 .options = format_options, .n_options = ARRAY_SIZE(format_options), .run = run_check},
	{.name = "logs", .summary = "Show the logs of all parts in one order of time", .man = "caisson-logs.1",
	 .options = logs_options, .n_options = ARRAY_SIZE(logs_options), .run = run_logs},
	{.name = "ports", .summary = "Show the published ports, their containers and counters", .man = "caisson-ports.1",
	 .options = format_options, .n_options = ARRAY_SIZE(format_options), .run = run_ports},
	{.name = "net", .summary = "Show the network: connections, rules, DNS, counters", .man = "caisson-net.1",
	 .details = "'net capture FILE' records packets.",
	 .options = net_options, .n_options = ARRAY_SIZE(net_options), .run = run_net},
	{.name = "net", .sub = "capture", .words = "FILE", .summary = "Record the VM's packets to a file (pcap); - is standard output",
	 .details = "It ends by size, by time, or with Ctrl-C.", .man = "caisson-net.1",
	 .options = capture_options, .n_options = ARRAY_SIZE(capture_options), .min_words = 1, .max_words = 1,
	 .run = run_net_capture},
	{.name = "settings", .sub = "list", .summary = "Show all settings with their ranges", .man = "caisson-settings.1",
	 .options = format_options, .n_options = ARRAY_SIZE(format_options), .run = run_settings_list},
	{.name = "settings", .sub = "get", .words = "KEY", .summary = "Show one setting", .man = "caisson-settings.1",
	 .options = format_options, .n_options = ARRAY_SIZE(format_options), .min_words = 1, .max_words = 1,
	 .word_kind = WORD_SETTING, .run = run_settings_get},
	{.name = "settings", .sub = "set", .words = "KEY VALUE [KEY VALUE...]", .summary = "Change settings, all or none",
	 .details = "A VALUE of memory and disk-size is in MiB or has a unit (4G); 'default' goes back to the default. Items of a list\n"
		    "are separated by commas, or the key is repeated; KEY+=ITEM adds one, KEY-=ITEM takes one away, 'none' empties it:\n"
		    "  caisson settings set host-access 5432,8000-8100\n"
		    "  caisson settings set network-rules 'deny any 10.0.0.0/8 name=office' egress allow\n"
		    "  caisson settings set network-rules+='allow tcp 10.1.2.3 443'\n"
		    "  caisson settings set dns-domains corp.example=10.0.0.1,10.0.0.2:5353",
	 .man = "caisson-settings.1", .options = format_options, .n_options = ARRAY_SIZE(format_options), .min_words = 1,
	 .max_words = COMMAND_WORDS_MAX, .word_kind = WORD_SETTING, .run = run_settings_set},
	{.name = "version", .summary = "Show the versions of the parts", .man = "caisson.1", .root_allowed = true,
	 .options = format_options, .n_options = ARRAY_SIZE(format_options), .run = run_version},
	{.name = "help", .words = "[COMMAND]", .summary = "Show help for a command", .man = "caisson.1",
	 .max_words = 2, .word_kind = WORD_COMMAND, .root_allowed = true, .run = run_help},
	{.name = "completion", .words = "bash|zsh|fish", .summary = "Print the completion script for a shell",
	 .man = "caisson.1", .min_words = 1, .max_words = 1, .word_kind = WORD_SHELL, .root_allowed = true,
	 .run = run_completion},
};
const size_t n_commands = ARRAY_SIZE(commands);
_Static_assert(ARRAY_SIZE(logs_options) <= COMMAND_OPTIONS_MAX, "options fit an invocation");
