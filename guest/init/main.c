/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caisson-init: process 1 of the VM.
 *
 * Two stages, one program. In the initramfs: the port, first modules, dm-verity, the sealed root. Then it
 * executes itself from the sealed root with two descriptors: mounts, data disk, daemons, supervision,
 * orderly stop. Never: starts a shell, offers a login, executes anything but the fixed programs of the
 * image, acts on anything from outside but the integers of the agent link.
 */
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "guest/init/early.h"
#include "guest/init/port.h"
#include "guest/init/uevent.h"
#include "guest/init/vm.h"
#include "proto/agent.h"

static void root_stage(void)
{
	static struct vm vm;
	int r;

	/* A page of this program that cannot be read back must not be able to kill process 1 unheard. */
	(void)mlockall(MCL_CURRENT);
	port_set(fd_set_cloexec(VM_FD_PORT, true) < 0 ? -EBADF : VM_FD_PORT);
	vm.uevent_fd = fd_set_cloexec(VM_FD_UEVENT, true) < 0 ? -EBADF : VM_FD_UEVENT;
	port_stage(AGENT_STAGE_ROOT);
	vm_boot(&vm);
	r = vm_supervise(&vm);
	vm_fail(vm.uevent_fd, AGENT_CAUSE_INTERNAL, (uint64_t)(r < 0 ? -r : 0));
}

int main(int argc, char **argv)
{
	if (getpid() != 1)
		return 1;
	log_open("com.docker.caisson.init", 2, LOG_INFO);
	if (argc == 2 && strcmp(argv[1], "--root") == 0)
		root_stage();
	else
		early_stage();
	vm_power_off();
}
