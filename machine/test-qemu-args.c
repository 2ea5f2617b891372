/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test-qemu-args: the golden list of QEMU's arguments (BCK-10) and of caisson-net's, complete and in order; and that
 * nothing which has a name can become an argument (BCK-07). A change here is a change of the attack surface: say why
 * in docs/decisions/0005-qemu-arguments.md.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "machine/plan.h"

#define HASH "abababababababababababababababababababababababababababababababab"

static const char *const golden[] = {
	"qemu-system-x86_64",
	"-nodefaults",
	"-no-user-config",
	"-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
	"-name", "DockerDesktopVM",
	"-machine", "q35,memory-backend=memory,usb=off,sata=off,smbus=off,vmport=off,hpet=off,"
		    "dump-guest-core=off,mem-merge=off",
	"-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
	"-accel", "tcg,thread=multi,tb-size=256",
	"-cpu", "max,la57=off,erms=off,fsrm=off",
	"-smp", "cpus=2,maxcpus=2,sockets=1",
	"-m", "size=2048M",
	"-object", "memory-backend-memfd,id=memory,size=2048M,share=on,merge=off,dump=off",
	"-display", "none",
	"-no-reboot",
	"-action", "reboot=shutdown,shutdown=poweroff,panic=shutdown,watchdog=none",
	"-rtc", "base=utc,clock=host",
	"-chardev", "socket,id=qmp,fd=3",
	"-mon", "chardev=qmp,mode=control,pretty=off",
	"-chardev", "socket,id=console,fd=5",
	"-device", "isa-serial,chardev=console",
	"-chardev", "socket,id=agent,fd=4",
	"-device", "virtio-serial-pci,id=serial,max_ports=2,disable-legacy=on",
	"-device", "virtserialport,bus=serial.0,nr=1,chardev=agent,name=org.caisson.agent",
	"-object", "rng-builtin,id=random",
	"-device", "virtio-rng-pci,rng=random,disable-legacy=on",
	"-device", "virtio-balloon-pci,free-page-reporting=on,disable-legacy=on",
	"-object", "iothread,id=disks",
	"-add-fd", "fd=8,set=1,opaque=root",
	"-add-fd", "fd=9,set=2,opaque=data",
	"-blockdev", "driver=file,node-name=root-file,filename=/dev/fdset/1,read-only=on,auto-read-only=off,locking=off,"
		     "aio=threads",
	"-blockdev", "driver=raw,node-name=root,file=root-file,read-only=on",
	"-device", "virtio-blk-pci,drive=root,serial=root,iothread=disks,disable-legacy=on",
	"-blockdev", "driver=file,node-name=data-file,filename=/dev/fdset/2,read-only=off,auto-read-only=off,locking=off,"
		     "aio=threads,discard=unmap",
	"-blockdev", "driver=raw,node-name=data,file=data-file,read-only=off,discard=unmap",
	"-device", "virtio-blk-pci,drive=data,serial=data,iothread=disks,disable-legacy=on,discard=on,write-zeroes=on,"
		   "werror=report,rerror=report",
	"-chardev", "socket,id=control,path=/proc/self/fd/10/vhost-net0.sock,server=on,wait=off",
	"-netdev", "vhost-user,id=control,chardev=control,queues=1",
	"-device", "virtio-net-pci,netdev=control,mac=02:ca:15:50:00:02,host_mtu=65520,mrg_rxbuf=on,rx_queue_size=1024,"
		   "tx_queue_size=1024,romfile=,disable-legacy=on",
	"-chardev", "socket,id=data,path=/proc/self/fd/10/vhost-net1.sock,server=on,wait=off",
	"-netdev", "vhost-user,id=data,chardev=data,queues=1",
	"-device", "virtio-net-pci,netdev=data,mac=02:ca:15:50:01:02,host_mtu=1500,mrg_rxbuf=on,rx_queue_size=1024,"
		   "tx_queue_size=1024,romfile=,disable-legacy=on",
	"-kernel", "/proc/self/fd/6",
	"-initrd", "/proc/self/fd/7",
	"-append", "console=ttyS0 quiet caisson.verity=6:6:-:" HASH,
};

static const struct image image = {.cmdline = "console=ttyS0 quiet",
				   .data_blocks = 6,
				   .hash_start_block = 6,
				   .root_hash = HASH};
static struct plan plan;

static struct plan_input input(enum machine_accel accel)
{
	return (struct plan_input){
		.cpus = 2, .memory_mib = 2048, .accel = accel, .qemu_major = 10, .mtu = 1500, .image = &image};
}

static void golden_list(void **state)
{
	struct plan_input in = input(MACHINE_ACCEL_TCG);

	assert_int_equal(plan_qemu(&plan, &in), 0);
	for (size_t i = 0; i < ARRAY_SIZE(golden) && i < plan.n_args; i++)
		assert_string_equal(plan.argv[i], golden[i]);
	assert_int_equal(plan.n_args, ARRAY_SIZE(golden));
	assert_null(plan.argv[plan.n_args]);
	assert_int_equal(plan.n_fds, 8);
}

/* KVM differs in two values and in nothing else. */
static void kvm_differs_in_two(void **state)
{
	struct plan_input in = input(MACHINE_ACCEL_KVM);

	assert_int_equal(plan_qemu(&plan, &in), 0);
	assert_int_equal(plan.n_args, ARRAY_SIZE(golden));
	for (size_t i = 1; i < plan.n_args; i++)
		if (!strcmp(golden[i - 1], "-accel"))
			assert_string_equal(plan.argv[i], "kvm");
		else if (!strcmp(golden[i - 1], "-cpu"))
			assert_string_equal(plan.argv[i], "host");
		else
			assert_string_equal(plan.argv[i], golden[i]);
}

static void forbidden_things_are_absent(void **state)
{
	static const char *const forbidden[] = {"virtfs", "9p", "tcp", "vnc", "qcow", "hotplug=on", "pcie-root-port",
						"-monitor", "telnet", "driver=vvfat", "usb-", "vhost-vsock"};
	struct plan_input in = input(MACHINE_ACCEL_TCG);

	assert_int_equal(plan_qemu(&plan, &in), 0);
	for (size_t i = 0; i < plan.n_args; i++)
		for (size_t k = 0; k < ARRAY_SIZE(forbidden); k++)
			assert_null(strstr(plan.argv[i], forbidden[k]));
	for (size_t i = 0; i < plan.n_args; i++)
		assert_true(strncmp(plan.argv[i], "user", 4) != 0); /* -netdev user */
}

/* The input has no member that could carry a name: integers, an enumeration, and a checked image. */
static void bounds(void **state)
{
	struct plan_input in = input(MACHINE_ACCEL_AUTO);

	assert_int_equal(plan_qemu(&plan, &in), -EINVAL);
	in = input(MACHINE_ACCEL_TCG);
	in.cpus = 0;
	assert_int_equal(plan_qemu(&plan, &in), -EINVAL);
	in.cpus = 256;
	assert_int_equal(plan_qemu(&plan, &in), -EINVAL);
	in.cpus = 255;
	in.memory_mib = UINT32_MAX;
	assert_int_equal(plan_qemu(&plan, &in), -EINVAL);
	in.memory_mib = 256;
	assert_int_equal(plan_qemu(&plan, &in), 0);
	in.mtu = 1279;
	assert_int_equal(plan_qemu(&plan, &in), -EINVAL);
	in.mtu = 65521;
	assert_int_equal(plan_qemu(&plan, &in), -EINVAL);
	in.mtu = 65520;
	assert_int_equal(plan_qemu(&plan, &in), 0);
}

static void every_text_fits(void **state)
{
	struct image large = image;
	struct plan_input in = input(MACHINE_ACCEL_TCG);

	memset(large.cmdline, 'a', IMAGE_CMDLINE_MAX);
	memset(large.salt, 'b', IMAGE_SALT_MAX);
	large.data_blocks = large.hash_start_block = UINT64_MAX;
	in.image = &large;
	in.cpus = 255;
	in.memory_mib = 16 * 1024 * 1024;
	assert_int_equal(plan_qemu(&plan, &in), 0);
	assert_int_equal(plan.n_args, ARRAY_SIZE(golden));
}

static void net_list(void **state)
{
	assert_int_equal(plan_net(&plan, PLAN_CARD_CONTROL), 0);
	assert_int_equal(plan.n_args, 3);
	assert_string_equal(plan.argv[0], "caisson-net");
	assert_string_equal(plan.argv[1], "--role=control");
	assert_string_equal(plan.argv[2], "--listen=1001,1002");
	assert_null(plan.argv[3]);
	assert_int_equal(plan.n_fds, 4);
	assert_int_equal(plan_net(&plan, PLAN_CARD_DATA), 0);
	assert_int_equal(plan.n_args, 2);
	assert_string_equal(plan.argv[0], "caisson-net");
	assert_string_equal(plan.argv[1], "--role=data");
	assert_null(plan.argv[2]);
	assert_int_equal(plan.n_fds, 3);
	assert_int_equal(plan_net(&plan, PLAN_CARD_FILES), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_list), cmocka_unit_test(kvm_differs_in_two),
		cmocka_unit_test(forbidden_things_are_absent), cmocka_unit_test(bounds),
		cmocka_unit_test(every_text_fits), cmocka_unit_test(net_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
