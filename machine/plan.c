/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan: see plan.h. The reason for each argument is in docs/decisions/0005-qemu-arguments.md.
 */
#include "machine/plan.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "proto/agent.h"
#include "proto/control-link.h"
#include "proto/data-card.h"

enum { CPUS_MAX = 255, MEMORY_MIB_MIN = 256, MEMORY_MIB_MAX = 16 * 1024 * 1024 };

static _printf_(2, 3) int add(struct plan *plan, const char *format, ...)
{
	size_t room = sizeof(plan->text) - plan->used;
	char *dst = plan->text + plan->used;
	va_list ap;
	int n;

	if (plan->n_args >= PLAN_ARGS_MAX)
		return trace(-E2BIG);
	va_start(ap, format);
	n = vsnprintf(dst, room, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room)
		return trace(-E2BIG);
	plan->used += (size_t)n + 1;
	plan->argv[plan->n_args++] = dst;
	plan->argv[plan->n_args] = NULL;
	return 0;
}

/* Adds OPTION and its formatted value; keeps the first error in R. */
#define ADD(option, ...)                                                                                    \
	do {                                                                                                \
		if (!r)                                                                                     \
			r = add(plan, "%s", option);                                                        \
		if (!r)                                                                                     \
			r = add(plan, __VA_ARGS__);                                                         \
	} while (0)

static int number(enum plan_fd fd)
{
	return PLAN_FD_BASE + (int)fd;
}

static int add_base(struct plan *plan, const struct plan_input *input)
{
	int r = add(plan, "qemu-system-x86_64");

	if (!r)
		r = add(plan, "-nodefaults");
	if (!r)
		r = add(plan, "-no-user-config");
	ADD("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	ADD("-name", "DockerDesktopVM");
	ADD("-machine", "q35,memory-backend=memory,usb=off,sata=off,smbus=off,vmport=off,hpet=off,"
			"dump-guest-core=off,mem-merge=off");
	ADD("-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off");
	if (input->accel == MACHINE_ACCEL_KVM) {
		ADD("-accel", "kvm");
		ADD("-cpu", "host");
	} else {
		ADD("-accel", "tcg,thread=multi,tb-size=256");
		ADD("-cpu", "max,la57=off,erms=off,fsrm=off");
	}
	ADD("-smp", "cpus=%u,maxcpus=%u,sockets=1", input->cpus, input->cpus);
	ADD("-m", "size=%uM", input->memory_mib);
	ADD("-object", "memory-backend-memfd,id=memory,size=%uM,share=on,merge=off,dump=off", input->memory_mib);
	ADD("-display", "none");
	if (!r)
		r = add(plan, "-no-reboot");
	ADD("-action", "reboot=shutdown,shutdown=poweroff,panic=shutdown,watchdog=none");
	ADD("-rtc", "base=utc,clock=host");
	return r;
}

static int add_channels(struct plan *plan)
{
	int r = 0;

	ADD("-chardev", "socket,id=qmp,fd=%d", number(PLAN_FD_QMP));
	ADD("-mon", "chardev=qmp,mode=control,pretty=off");
	ADD("-chardev", "socket,id=console,fd=%d", number(PLAN_FD_CONSOLE));
	ADD("-device", "isa-serial,chardev=console");
	ADD("-chardev", "socket,id=agent,fd=%d", number(PLAN_FD_AGENT));
	ADD("-device", "virtio-serial-pci,id=serial,max_ports=2,disable-legacy=on");
	ADD("-device", "virtserialport,bus=serial.0,nr=1,chardev=agent,name=" AGENT_PORT_NAME);
	ADD("-object", "rng-builtin,id=random");
	ADD("-device", "virtio-rng-pci,rng=random,disable-legacy=on");
	ADD("-device", "virtio-balloon-pci,free-page-reporting=on,disable-legacy=on");
	return r;
}

static int add_boot(struct plan *plan, const struct plan_input *input)
{
	char verity[512];
	int r = image_verity_parameter(input->image, verity, sizeof(verity));

	if (r < 0)
		return r;
	r = 0;
	ADD("-kernel", "/proc/self/fd/%d", number(PLAN_FD_KERNEL));
	ADD("-initrd", "/proc/self/fd/%d", number(PLAN_FD_INITRD));
	ADD("-append", "%s %s", input->image->cmdline, verity);
	return r;
}

static int add_disks(struct plan *plan)
{
	int r = 0;

	ADD("-object", "iothread,id=disks");
	ADD("-add-fd", "fd=%d,set=1,opaque=root", number(PLAN_FD_ROOT));
	ADD("-add-fd", "fd=%d,set=2,opaque=data", number(PLAN_FD_DATA));
	ADD("-blockdev", "driver=file,node-name=root-file,filename=/dev/fdset/1,read-only=on,auto-read-only=off,"
			 "locking=off,aio=threads");
	ADD("-blockdev", "driver=raw,node-name=root,file=root-file,read-only=on");
	ADD("-device", "virtio-blk-pci,drive=root,serial=root,iothread=disks,disable-legacy=on");
	ADD("-blockdev", "driver=file,node-name=data-file,filename=/dev/fdset/2,read-only=off,auto-read-only=off,"
			 "locking=off,aio=threads,discard=unmap");
	ADD("-blockdev", "driver=raw,node-name=data,file=data-file,read-only=off,discard=unmap");
	ADD("-device", "virtio-blk-pci,drive=data,serial=data,iothread=disks,disable-legacy=on,discard=on,"
		       "write-zeroes=on,werror=report,rerror=report");
	return r;
}

/* QEMU passes descriptors only over a socket that it was given by path (fd= lacks that feature), so the path goes
 * through the inherited directory: a descriptor and a constant. */
static int add_control_card(struct plan *plan, const struct plan_input *input)
{
	int r = 0;

	(void)input;
	ADD("-chardev", "socket,id=control,path=/proc/self/fd/%d/" PLAN_CONTROL_SOCKET ",server=on,wait=off",
	    number(PLAN_FD_RUN_DIR));
	ADD("-netdev", "vhost-user,id=control,chardev=control,queues=1");
	ADD("-device",
	    "virtio-net-pci,netdev=control,mac=" CONTROL_GUEST_MAC_TEXT ",host_mtu=%d,mrg_rxbuf=on,"
	    "rx_queue_size=1024,tx_queue_size=1024,romfile=,disable-legacy=on",
	    CONTROL_MTU);
	return r;
}

static int add_data_card(struct plan *plan, const struct plan_input *input)
{
	int r = 0;

	ADD("-chardev", "socket,id=data,path=/proc/self/fd/%d/" PLAN_DATA_SOCKET ",server=on,wait=off",
	    number(PLAN_FD_RUN_DIR));
	ADD("-netdev", "vhost-user,id=data,chardev=data,queues=1");
	ADD("-device",
	    "virtio-net-pci,netdev=data,mac=" DATA_GUEST_MAC_TEXT ",host_mtu=%u,mrg_rxbuf=on,"
	    "rx_queue_size=1024,tx_queue_size=1024,romfile=,disable-legacy=on",
	    input->mtu);
	return r;
}

/* One row per vhost-user device; a NULL row is not part of the machine yet. */
static int (*const cards[PLAN_CARDS_MAX])(struct plan *plan, const struct plan_input *input) = {
	[PLAN_CARD_CONTROL] = add_control_card,
	[PLAN_CARD_DATA] = add_data_card,
	[PLAN_CARD_FILES] = NULL,
};

int plan_qemu(struct plan *plan, const struct plan_input *input)
{
	int r;

	plan->n_args = plan->n_fds = plan->used = 0;
	if (input->accel != MACHINE_ACCEL_KVM && input->accel != MACHINE_ACCEL_TCG)
		return trace(-EINVAL);
	if (input->cpus < 1 || input->cpus > CPUS_MAX)
		return trace(-EINVAL);
	if (input->memory_mib < MEMORY_MIB_MIN || input->memory_mib > MEMORY_MIB_MAX)
		return trace(-EINVAL);
	if (input->mtu < DATA_MTU_MIN || input->mtu > DATA_MTU_MAX)
		return trace(-EINVAL);
	r = add_base(plan, input);
	if (!r)
		r = add_channels(plan);
	if (!r)
		r = add_disks(plan);
	plan->n_fds = PLAN_FD_MAX;
	for (size_t i = 0; i < PLAN_CARDS_MAX && !r; i++)
		if (cards[i])
			r = cards[i](plan, input);
	if (!r)
		r = add_boot(plan, input);
	return r;
}

int plan_net(struct plan *plan, enum plan_card card)
{
	bool data = card == PLAN_CARD_DATA;
	int r = 0;

	if (!data && card != PLAN_CARD_CONTROL)
		return trace(-EINVAL);
	plan->n_args = plan->n_fds = plan->used = 0;
	r = add(plan, "caisson-net");
	if (!r)
		r = add(plan, "--role=%s", data ? "data" : "control");
	if (!r && !data)
		r = add(plan, "--listen=%d,%d", CONTROL_PORT_ENGINE, CONTROL_PORT_ECHO);
	plan->n_fds = data ? 3 : 4;
	return r;
}
