/* SPDX-License-Identifier: Apache-2.0 */
/* capture: see the header. The file format: pcap 2.4, link type Ethernet, microseconds, in the byte order of this host. */
#include "devices/net/capture.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/loop.h"
#include "devices/vhost/guest-memory.h"

enum { FILE_HEADER = 24, RECORD_HEADER = 16, LINKTYPE_ETHERNET = 1 };
static const uint32_t magic = 0xa1b2c3d4;

_Static_assert(CAPTURE_BUFFER >= 2 * (RECORD_HEADER + NETCTL_SNAP_MAX), "the largest record fits with something before it");

static uint8_t buffer[CAPTURE_BUFFER];

static void end_now(struct capture *capture)
{
	capture->fd = fd_close(capture->fd);
	capture->on = capture->ending = false;
	capture->why = capture->next_why;
}

/* Writes what the reader takes. */
static void flush(struct capture *capture)
{
	while (capture->first < capture->end) {
		ssize_t n = write(capture->fd, buffer + capture->first, capture->end - capture->first);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			capture->next_why = NETCTL_CAPTURE_CLOSED;
			end_now(capture);
			return;
		}
		capture->first += (size_t)n;
	}
	capture->first = capture->end = 0;
}

/* Room for LEN bytes behind what waits. Return: where, NULL: the reader lags. */
static uint8_t *room(struct capture *capture, size_t len)
{
	uint8_t *at;

	if (CAPTURE_BUFFER - capture->end < len) {
		flush(capture);
		if (!capture->on)
			return NULL;
		memmove(buffer, buffer + capture->first, capture->end - capture->first);
		capture->end -= capture->first;
		capture->first = 0;
	}
	if (CAPTURE_BUFFER - capture->end < len)
		return NULL;
	at = buffer + capture->end;
	capture->end += len;
	capture->bytes += len;
	return at;
}

/* Real time minus the loop's, so that records need one clock. */
static uint64_t real_offset(void)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000 - loop_now_us();
}

int capture_start_consume(struct capture *capture, const struct netctl_capture *limit, int fd, uint64_t now_us)
{
	_cleanup_close_ int own = fd;
	struct stat st;
	uint8_t *head;
	int r;

	if (fstat(own, &st) < 0)
		return trace(error_errno());
	if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode) && !S_ISREG(st.st_mode))
		return trace(-EINVAL);
	r = fd_set_nonblock(own, true);
	if (r < 0)
		return trace(r);
	if (capture->on || capture->ending)
		fd_close(capture->fd);
	*capture = (struct capture){
		.on = true,
		.fd = take_fd(own),
		.limit = *limit,
		.end_us = limit->max_ms ? now_us + (uint64_t)limit->max_ms * 1000 : UINT64_MAX,
		.real_offset_us = real_offset(),
	};
	head = room(capture, FILE_HEADER);
	le32_store(head, magic);
	le16_store(head + 4, 2);
	le16_store(head + 6, 4);
	memset(head + 8, 0, 8);
	le32_store(head + 16, limit->snap_len);
	le32_store(head + 20, LINKTYPE_ETHERNET);
	return 0;
}

void capture_stop(struct capture *capture, enum netctl_capture_end why, uint64_t now_us)
{
	if (!capture->on)
		return;
	capture->next_why = why;
	capture->on = false;
	capture->ending = true;
	capture->give_up_us = now_us + CAPTURE_LINGER_US;
}

void capture_frame(struct capture *capture, const void *head, size_t head_len, const struct iovec *iov, size_t n_iov,
		   size_t off, size_t len)
{
	size_t total = head_len + len, n;
	uint64_t now_us;
	uint8_t *at;

	if (!capture->on)
		return;
	n = total < capture->limit.snap_len ? total : capture->limit.snap_len;
	if (n + RECORD_HEADER > capture->limit.max_bytes || capture->bytes > capture->limit.max_bytes - n - RECORD_HEADER) {
		capture_stop(capture, NETCTL_CAPTURE_LIMIT, loop_now_us());
		return;
	}
	at = room(capture, RECORD_HEADER + n);
	if (!at) {
		capture->drops++;
		return;
	}
	now_us = loop_now_us() + capture->real_offset_us;
	le32_store(at, (uint32_t)(now_us / 1000000));
	le32_store(at + 4, (uint32_t)(now_us % 1000000));
	le32_store(at + 8, (uint32_t)n);
	le32_store(at + 12, (uint32_t)total);
	at += RECORD_HEADER;
	if (head_len > n)
		head_len = n;
	if (head_len)
		memcpy(at, head, head_len);
	len = n - head_len;
	total = guest_iov_read(at + head_len, len, iov, n_iov, off);
	/* shorter only when the caller's LEN was wrong: no byte of an earlier record goes out instead */
	memset(at + head_len + total, 0, len - total);
}

uint64_t capture_deadline(const struct capture *capture)
{
	uint64_t retry = UINT64_MAX;

	if (!capture->on && !capture->ending)
		return UINT64_MAX;
	if (capture->first < capture->end || capture->ending)
		retry = loop_now_us() + CAPTURE_RETRY_US;
	return capture->on && capture->end_us < retry ? capture->end_us : retry;
}

void capture_timers(struct capture *capture, uint64_t now_us)
{
	if (!capture->on && !capture->ending)
		return;
	if (capture->on && now_us >= capture->end_us)
		capture_stop(capture, NETCTL_CAPTURE_TIME, now_us);
	flush(capture);
	if (capture->ending && (capture->first == capture->end || now_us >= capture->give_up_us))
		end_now(capture);
}
