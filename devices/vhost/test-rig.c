/* SPDX-License-Identifier: Apache-2.0 */
/* test-rig: see the header. For tests of devices/vhost only. */
#include "devices/vhost/test-rig.h"

#include <dirent.h>
#include <string.h>

static void on_start(void *data, unsigned int queue)
{
	((struct rig *)data)->n_start[queue]++;
}

static void on_stop(void *data, unsigned int queue)
{
	((struct rig *)data)->n_stop[queue]++;
}

static void on_kick(void *data, unsigned int queue)
{
	struct rig *rig = data;

	rig->n_kick[queue]++;
	if (rig->kick)
		rig->kick(rig, queue);
}

static void on_features(void *data, uint64_t features)
{
	((struct rig *)data)->features = features;
}

static int on_mtu(void *data, uint16_t mtu)
{
	((struct rig *)data)->mtu = mtu;
	return 0;
}

static int get_config(void *data, uint32_t offset, void *buf, uint32_t len)
{
	memset(buf, (int)(offset + 1), len);
	return 0;
}

static void on_broken(void *data, unsigned int queue, const char *reason)
{
	struct rig *rig = data;

	rig->n_broken[queue]++;
	rig->broken_reason = reason;
}

static void on_disconnect(void *data, int code, const char *reason)
{
	struct rig *rig = data;

	rig->n_disconnect++;
	rig->code = code;
	rig->reason = reason;
}

static const struct vhost_ops ops = {
	.features = VIRTIO_VERSION_1 | VIRTIO_RING_INDIRECT_DESC | VIRTIO_NET_MRG_RXBUF,
	.protocol_features = VHOST_USER_PROTOCOL_MQ | VHOST_USER_PROTOCOL_NET_MTU | VHOST_USER_PROTOCOL_CONFIG,
	.n_queues = 2,
	.max_segments = RIG_SEGMENTS,
	.on_start = on_start,
	.on_stop = on_stop,
	.on_kick = on_kick,
	.on_features = on_features,
	.on_mtu = on_mtu,
	.get_config = get_config,
	.on_broken = on_broken,
	.on_disconnect = on_disconnect,
};

static int pump(void *data)
{
	struct rig *rig = data;
	int r = loop_step(rig->loop, 0);

	return r < 0 ? r : 0;
}

void rig_run(struct rig *rig)
{
	int r;

	while ((r = loop_step(rig->loop, 0)) > 0)
		;
	assert_int_equal(r, 0);
}

void rig_open(struct rig *rig, const struct frontend_config *config)
{
	struct frontend_config c = config ? *config : (struct frontend_config){0};
	void (*kick)(struct rig *, unsigned int) = rig->kick;
	int fd;

	*rig = (struct rig){.kick = kick};
	c.pump = pump;
	c.pump_data = rig;
	assert_int_equal(loop_new(&rig->loop), 0);
	assert_int_equal(frontend_new(&c, &fd, &rig->f), 0);
	assert_int_equal(vhost_new(rig->loop, fd, &ops, rig, &rig->vhost), 0);
}

void rig_start(struct rig *rig, const struct frontend_config *config)
{
	rig_open(rig, config);
	assert_int_equal(frontend_start(rig->f), 0);
}

void rig_reopen(struct rig *rig)
{
	int fd;

	rig->vhost = vhost_free(rig->vhost);
	rig->n_disconnect = 0;
	assert_int_equal(frontend_reconnect(rig->f, &fd), 0);
	assert_int_equal(vhost_new(rig->loop, fd, &ops, rig, &rig->vhost), 0);
}

void rig_close(struct rig *rig)
{
	rig->vhost = vhost_free(rig->vhost);
	rig->f = frontend_free(rig->f);
	rig->loop = loop_free(rig->loop);
}

struct vring *rig_ring(struct rig *rig, unsigned int queue)
{
	return vhost_ring(rig->vhost, queue);
}

int rig_pop(struct rig *rig, unsigned int queue)
{
	return vring_pop(rig_ring(rig, queue), &rig->chain, rig->iov, RIG_SEGMENTS);
}

unsigned int rig_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}
