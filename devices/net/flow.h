/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flow: the fixed table of TCP connections between guest and host, found by key, handle or index.
 *
 * A flow's states, and what may happen in each (tcp.h has the events, tcp-in.c the transitions):
 *   FREE      slot unused; nothing else in it has a meaning
 *   OPENING   the guest sent SYN, the host socket is connecting; the guest has heard nothing
 *   SYN_SENT  the host connected, our SYN is on its way to the guest
 *   SYN_RCVD  our SYN-ACK is on its way to the guest
 *   OPEN      bytes may flow both ways; the two ends are tracked by FLOW_HOST_EOF, FLOW_FIN_* and FLOW_GUEST_FIN
 * There is no TIME_WAIT: a segment for a flow that is gone is answered with RST.
 *
 * Two intrusive lists run through the slots: flows with work to do (ready), and timers, one list for each duration, so
 * that arming is an append and the nearest deadline is the smallest list head. Memory of slots never used is never touched.
 * Who may call it: the parts of devices/net. It does no I/O and never allocates.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/table.h"
#include "proto/net-frame.h"

enum {
	FLOW_MAX = 65536,	  /* slots there are; the rest is refused and counted */
	FLOW_CONTROL_MAX = 4096,  /* of the control card */
	FLOW_HASH_MAX = 2 * FLOW_MAX,
	FLOW_TIMER_LEVELS = 9,	  /* 250 ms, 500 ms, 1 s, ... 64 s */
	FLOW_TIMER_BASE_US = 250000,
	FLOW_TIMER_SECOND = 2,	  /* the level of one second */
	FLOW_TIMER_IDLE = FLOW_TIMER_LEVELS, /* the level of two hours (RFC 9293, 3.8.4), for flows that rest */
	FLOW_TIMER_LISTS,
	FLOW_IDLE_SECONDS = 7200,
};

enum flow_state { FLOW_FREE, FLOW_OPENING, FLOW_SYN_SENT, FLOW_SYN_RCVD, FLOW_OPEN, FLOW_STATE_MAX };

enum flow_flag {
	FLOW_READABLE = 1 << 0,	 /* the host socket may have bytes (or an end) not sent yet */
	FLOW_HUP = 1 << 1,	 /* the host socket's end is near: read until it says so */
	FLOW_HOST_EOF = 1 << 2,	 /* the end was seen behind the last byte sent */
	FLOW_FIN_SENT = 1 << 3,	 /* snd_fin is valid */
	FLOW_FIN_ACKED = 1 << 4,
	FLOW_GUEST_FIN = 1 << 5, /* received, in rcv_nxt, and shut down on the host */
	FLOW_SYN_DUE = 1 << 6,	 /* SYN or SYN-ACK is to be sent */
	FLOW_ACK_DUE = 1 << 7,
	FLOW_RST_DUE = 1 << 8,	 /* the flow ends with this RST */
	FLOW_REWIND = 1 << 9,	 /* the peek offset does not match snd_nxt */
	FLOW_PROBE = 1 << 10,	 /* ask whether the window is still zero */
	FLOW_OUT = 1 << 11,	 /* waiting for room in the host socket */
	FLOW_DROPPED = 1 << 12,	 /* bytes of the guest were dropped for lack of room */
	FLOW_BY_GUEST = 1 << 13, /* opened by the guest */
	FLOW_READY = 1 << 14,	 /* on the ready list */
	FLOW_TIMED = 1 << 15,	 /* on a timer list */
	FLOW_GONE = 1 << 16,	 /* both directions of the host socket are shut */
	FLOW_EXCHANGE = 1 << 17, /* the host answers what the guest says: acknowledgements may wait for the answer */
	FLOW_ACK_LATER = 1 << 18, /* one waits, to be sent by later_us */
	FLOW_ACK_LISTED = 1 << 19, /* the flow stands in tcp-later's ring */
	FLOW_PRI = 1 << 20,	   /* urgent data came to the host socket: find the mark */
	FLOW_URGENT = 1 << 21,	   /* the mark is at URGENT */
	FLOW_RESTING = 1 << 22,	   /* the timer awaits no answer, it only looks after a quiet flow */
	FLOW_ASK = 1 << 23,	   /* ask the guest whether it still knows the flow */
	FLOW_KEEP_ALIVE = 1 << 24, /* the host socket looks after its peer */
};

struct flow_key {
	struct net_addr host, guest; /* the guest's side of both: HOST is whom the guest talks to */
	uint16_t host_port, guest_port;
};

struct flow {
	struct flow_key key;
	uint32_t flags;
	int fd; /* host socket, owned */
	uint8_t state; /* enum flow_state */
	uint8_t host_kind, host_bits; /* host.h: the family's own */
	uint8_t scale, own_scale; /* of the window the guest tells, and of ours; both 0 unless both sides scale */
	uint8_t retries, dup_acks, dups_due, timer_level;
	uint16_t mss; /* the guest's */
	uint32_t snd_una, snd_nxt, snd_max; /* to the guest: acknowledged, next, highest so far */
	uint32_t snd_fin;		    /* sequence number of our FIN */
	uint32_t recover;		    /* no second fast retransmission before this is acknowledged */
	uint32_t snd_wnd, snd_wl1;	    /* guest's window in bytes, and the segment that gave it */
	uint32_t rcv_nxt, rcv_adv;	    /* from the guest: next expected, right edge of the window told */
	uint32_t rcv_told;		    /* the window when the host was last asked for it */
	uint32_t acked;			    /* acknowledged, but still in the host socket */
	uint32_t hint;			    /* size of the next peek */
	uint32_t urgent;		    /* with FLOW_URGENT: sequence number of the host's urgent byte */
	uint32_t ready_next, ready_prev, timer_next, timer_prev; /* index + 1, 0: none */
	uint32_t owner; /* whom tcp_config.ended is for, 0: nobody */
	uint64_t deadline_us;
	uint64_t later_us;
	uint64_t heard_us;	     /* when the guest's bytes last came, 0: never */
	uint64_t active_us;	     /* when either side last said anything */
	uint64_t rx_bytes, tx_bytes; /* rx: to the guest, sent for the first time; tx: taken by the host */
};

struct flow_list {
	uint32_t head, tail; /* index + 1, 0: empty */
};

struct flow_table {
	struct table slots;
	uint32_t mask;	  /* of the hash */
	uint64_t key[2];  /* of the hash, random: the guest cannot aim at one bucket */
	struct flow_list ready, timers[FLOW_TIMER_LISTS];
};

/* Prepares the process's one table for at most MAX flows (at most FLOW_MAX). KEY is random. */
void flow_table_init(struct flow_table *t, uint32_t max, const uint64_t key[static 2]);
/* Return: the flow with KEY, or NULL. */
struct flow *flow_find(const struct flow_table *t, const struct flow_key *key);
/* KEY is not in the table yet. Return: a zeroed flow with fd -EBADF, or NULL when the table is full. */
struct flow *flow_new(struct flow_table *t, const struct flow_key *key);
/* Takes FLOW out of table and lists; the descriptor is the caller's matter. */
void flow_end(struct flow_table *t, struct flow *flow);
/* The highest three bits are 0: they tell handles of other parts apart in the common epoll set. */
uint64_t flow_handle(const struct flow_table *t, const struct flow *flow);
/* Return: the live flow behind HANDLE, or NULL. */
struct flow *flow_by_handle(const struct flow_table *t, uint64_t handle);
/* Walks through all live flows: *CURSOR is 0 at the start. Return: a flow; NULL at the end, with *CURSOR 0. */
struct flow *flow_next(const struct flow_table *t, uint32_t *cursor);

/* Appends FLOW to the ready list unless it is on it. */
void flow_ready(struct flow_table *t, struct flow *flow);
/* Takes the head of the ready list, NULL when empty. */
struct flow *flow_ready_take(struct flow_table *t);
/* Puts FLOW back at the head. */
void flow_ready_first(struct flow_table *t, struct flow *flow);

/* (Re)arms FLOW's timer for FLOW_TIMER_BASE_US << LEVEL after NOW_US; a LEVEL beyond the last counts as the last. Clears
 * FLOW_RESTING. */
void flow_timer_arm(struct flow_table *t, struct flow *flow, unsigned int level, uint64_t now_us);
/* The same for a flow that awaits nothing: sets FLOW_RESTING. LEVEL may be FLOW_TIMER_IDLE. */
void flow_timer_rest(struct flow_table *t, struct flow *flow, unsigned int level, uint64_t now_us);
/* FLOW's timer runs because an answer is awaited. */
static inline bool flow_awaits(const struct flow *flow)
{
	return (flow->flags & (FLOW_TIMED | FLOW_RESTING)) == FLOW_TIMED;
}
void flow_timer_cancel(struct flow_table *t, struct flow *flow);
/* Return: a flow whose time has come (its timer is off now), or NULL. */
struct flow *flow_timer_take(struct flow_table *t, uint64_t now_us);
/* Return: the nearest deadline, UINT64_MAX when no timer is armed. */
uint64_t flow_timer_next(const struct flow_table *t);

/* Keyed hash of KEY (SipHash-1-3 over its 36 bytes); also the source of initial sequence numbers. */
uint64_t flow_hash(const uint64_t key[static 2], const struct flow_key *of);
const char *flow_state_name(enum flow_state state);
