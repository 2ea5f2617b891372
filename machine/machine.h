/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine: the one VM of this process and everything it owns.
 *
 * One process runs one VM once: OFF until the backend's launch, then through the states of vm-state.h to ENDED,
 * when the loop is left. machine.c turns what happens into events and carries out the actions; machine-start.c
 * prepares and starts; machine-report.c talks to the backend. Who may call it: main.c.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/loop.h"
#include "machine/accel.h"
#include "machine/agent-channel.h"
#include "machine/image-files.h"
#include "machine/log-file.h"
#include "machine/net-process.h"
#include "machine/ports.h"
#include "machine/qemu.h"
#include "machine/qmp-client.h"
#include "machine/vm-state.h"
#include "proto/machine.h"

enum {
	MACHINE_READY_US = 240000000,	/* from HELLO to a ready engine, with a disk check on a slow host */
	MACHINE_BOOT_US = 90000000,	/* first byte of the guest without KVM, on a slow host */
	MACHINE_DISK_WAIT_US = 20000000, /* for the end of an earlier machine */
	MACHINE_DISK_RETRY_US = 100000,
	MACHINE_ORPHAN_MS = 15000,	/* deadline when the backend is gone */
	MACHINE_MARGIN_US = 5000000,	/* what the guest may overrun its deadline */
	MACHINE_QUIT_US = 5000000,
	MACHINE_KILL_US = 5000000,
	MACHINE_STATS_US = 1000000,
};

enum machine_log { MACHINE_LOG_CONSOLE, MACHINE_LOG_VM, MACHINE_LOG_QEMU, MACHINE_LOG_NET, MACHINE_LOG_MAX };
enum machine_dir { MACHINE_DIR_RUN, MACHINE_DIR_LOG, MACHINE_DIR_CACHE, MACHINE_DIR_DATA, MACHINE_DIR_MAX };

/* Where things are; main fills it, tests give others. */
struct machine_options {
	const char *qemu;   /* NULL: the usual places */
	const char *net;    /* absolute path of caisson-net */
	const char *device; /* /dev/kvm */
};

struct machine {
	struct loop *loop;
	struct machine_options options;
	int backend_fd;
	struct loop_source *backend, *sigterm, *sigint;
	struct loop_source *watch, *deadline, *retry, *stats_timer;

	struct machine_plan plan;
	bool launched;
	uint64_t launch_us;
	enum vm_state state;
	enum machine_state told; /* last state the backend was told */
	struct fault fault;	 /* the first one stands */
	uint32_t deadline_ms;
	uint64_t stop_end_us; /* when the guest's time for stopping is over */

	int dirs[MACHINE_DIR_MAX];
	struct log_file *logs[MACHINE_LOG_MAX];
	struct image_files image;
	struct qemu qemu;
	struct accel_choice choice;
	struct accel_memory memory;
	int disk_fd, engine_fd, echo_fd;
	bool sockets_made;

	pid_t qemu_pid;
	int qemu_status; /* of its end: exit code, or minus the signal */
	int qemu_pidfd;
	struct loop_source *qemu_child;
	struct qmp_client *qmp;
	struct agent_channel *agent;
	struct log_stream *console, *qemu_err;
	struct net_process *net, *data_net;
	struct ports *ports;
	bool greeted, monitor_lost;
	bool distrusted;    /* this machine killed the QEMU that ran under KVM */
	bool verdict_open;  /* KVM did not boot the VM; kept once the guest speaks without it */
	bool memory_new;    /* the memory has something that its file has not */
	uint32_t stages;	      /* bit per stage that was reported */
	char end_reason[QMP_TEXT_MAX]; /* of QEMU's SHUTDOWN event */

	bool stats_wanted, stats_guest, stats_net, stats_data_net;
	struct machine_message stats;
};

/* machine.c. Takes BACKEND_FD. Return: 0 or -errno. */
int machine_run(const struct machine_options *options, int consume_backend_fd);
void machine_event(struct machine *m, enum vm_event event);

/* machine-start.c. Return of all: 0; -errno with m->fault set. */
/* Directories, logs, image, QEMU. */
int machine_prepare(struct machine *m);
/* Takes the disk's lock. Return: also -EWOULDBLOCK without a fault: try again. */
int machine_take_disk(struct machine *m);
/* Decides the accelerator and tells it. */
int machine_choose(struct machine *m);
/* Sockets, QEMU, net. CALLBACKS of machine.c are given by the three below. */
int machine_start_qemu(struct machine *m);
/* Closes everything that belongs to one run of QEMU. */
void machine_drop_qemu(struct machine *m);
/* Ends and removes everything. */
void machine_done(struct machine *m);

/* machine.c, for machine-start.c. */
int machine_on_qemu_exit(void *data, pid_t pid, int status);
void machine_on_qmp(void *data, const struct qmp_message *event);
bool machine_on_net_failed(void *data, const struct fault *fault);
bool machine_on_data_net_failed(void *data, const struct fault *fault);
void machine_on_net_stats(void *data, enum plan_card card, const struct device_stats *stats);
extern const struct agent_channel_ops machine_agent_ops;

/* machine-report.c. Never fail: a backend that does not listen is noticed by its socket. */
void machine_tell_state(struct machine *m, enum machine_state state);
/* Tells FAILED with the recorded fault, once. */
void machine_tell_fault(struct machine *m);
void machine_tell_stage(struct machine *m, const char *name);
void machine_tell_stats(struct machine *m);
/* The backend's end of a new data net's netctl link. Return: 0 or -errno. */
int machine_tell_link(void *data, int consume_fd);
extern const struct ports_ops machine_ports_ops;
/* Keeps the first fault. Return: R. */
int machine_fault(struct machine *m, const struct fault *fault);
