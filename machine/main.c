/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caisson-machine: owns the VM. See machine.h.
 *
 * Started by the backend with the seqpacket socket to it at descriptor 3, or with --check by the command line.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "base/text.h"
#include "machine/check.h"
#include "machine/machine.h"

enum { BACKEND_FD = 3, EXIT_USAGE = 2 };
enum { OPT_CHECK = 256, OPT_NET, OPT_QEMU, OPT_DEVICE, OPT_IMAGE_DIR, OPT_DATA_DIR, OPT_MEMORY, OPT_DISK, OPT_VERSION,
       OPT_HELP, OPT_DEBUG };

static const struct option long_options[] = {
	{"check", no_argument, NULL, OPT_CHECK},
	{"net", required_argument, NULL, OPT_NET},
	{"qemu", required_argument, NULL, OPT_QEMU},
	{"kvm-device", required_argument, NULL, OPT_DEVICE},
	{"image-dir", required_argument, NULL, OPT_IMAGE_DIR},
	{"data-dir", required_argument, NULL, OPT_DATA_DIR},
	{"memory-mib", required_argument, NULL, OPT_MEMORY},
	{"disk-mib", required_argument, NULL, OPT_DISK},
	{"debug", no_argument, NULL, OPT_DEBUG},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static const char usage[] =
	"Usage: caisson-machine [--net=PATH] [--qemu=PATH] [--kvm-device=PATH] [--debug]   (backend at descriptor 3)\n"
	"       caisson-machine --check [--image-dir=DIR] [--data-dir=DIR] [--memory-mib=N] [--disk-mib=N]\n";

struct arguments {
	bool check, debug;
	struct machine_options machine;
	struct check_options checks;
};

/* Return: 0; 1: done, leave with *STATUS. */
static int parse(int argc, char **argv, struct arguments *a, int *status)
{
	uint64_t v;
	int c;

	*status = EXIT_USAGE;
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case OPT_CHECK:
			a->check = true;
			break;
		case OPT_DEBUG:
			a->debug = true;
			break;
		case OPT_NET:
			a->machine.net = optarg;
			break;
		case OPT_QEMU:
			a->machine.qemu = a->checks.qemu = optarg;
			break;
		case OPT_DEVICE:
			a->machine.device = a->checks.device = optarg;
			break;
		case OPT_IMAGE_DIR:
			a->checks.image_dir = optarg;
			break;
		case OPT_DATA_DIR:
			a->checks.data_dir = optarg;
			break;
		case OPT_MEMORY:
		case OPT_DISK:
			if (text_parse_u64(optarg, UINT32_MAX, &v)) {
				fprintf(stderr, "caisson-machine: %s is not a number of MiB\n", optarg);
				return 1;
			}
			*(c == OPT_MEMORY ? &a->checks.memory_mib : &a->checks.disk_mib) = v;
			break;
		case OPT_VERSION:
			puts("caisson-machine " CAISSON_VERSION);
			*status = EXIT_SUCCESS;
			return 1;
		case OPT_HELP:
			fputs(usage, stdout);
			*status = EXIT_SUCCESS;
			return 1;
		default:
			fputs(usage, stderr);
			return 1;
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		return 1;
	}
	return 0;
}

/* Default image directory: share/caisson/image of this installation. */
static int run_check(struct arguments *a)
{
	_cleanup_free_ char *image_dir = NULL;

	if (!a->checks.image_dir) {
		if (path_beside_self("../../share/caisson/image", &image_dir))
			return EXIT_FAILURE;
		a->checks.image_dir = image_dir;
	}
	return check_print(&a->checks, stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run_machine(struct arguments *a)
{
	_cleanup_free_ char *net = NULL;
	const int keep[] = {BACKEND_FD};
	int r;

	r = fd_close_others(keep, ARRAY_SIZE(keep));
	if (!r)
		r = fd_set_cloexec(BACKEND_FD, true);
	if (r) {
		log_errno(r, "descriptor %d must be the backend's socket", BACKEND_FD);
		return EXIT_USAGE;
	}
	if (!a->machine.net) {
		r = path_beside_self("caisson-net", &net);
		if (r)
			return log_errno(r, "finding caisson-net") ? EXIT_FAILURE : 0;
		a->machine.net = net;
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	r = machine_run(&a->machine, BACKEND_FD);
	if (r)
		log_errno(r, "the machine's loop");
	return r ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct arguments a = {.machine.device = ACCEL_DEVICE, .checks.device = ACCEL_DEVICE};
	int status;

	if (fd_populate_std())
		return EXIT_FAILURE;
	signal(SIGPIPE, SIG_IGN);
	if (parse(argc, argv, &a, &status))
		return status;
	log_open("com.docker.caisson.machine", STDERR_FILENO, a.debug ? LOG_DEBUG : LOG_INFO);
	return a.check ? run_check(&a) : run_machine(&a);
}
