// SPDX-License-Identifier: GPL-2.0-only
/*
 * The states of the background pass: one table, so that every move that exists can be seen at once.
 */
#include "pass.h"

#define IDLE		INTEGRITY_PASS_IDLE
#define RUNNING		INTEGRITY_PASS_RUNNING
#define FROZEN		INTEGRITY_PASS_FROZEN
#define FAILED		INTEGRITY_PASS_FAILED
#define S_IDLE		INTEGRITY_PASS_SUSPENDED_IDLE
#define S_RUNNING	INTEGRITY_PASS_SUSPENDED_RUNNING
#define S_FROZEN	INTEGRITY_PASS_SUSPENDED_FROZEN
#define S_FAILED	INTEGRITY_PASS_SUSPENDED_FAILED
#define BUSY		(-EBUSY)

/*
 * What the user asks for (START, FREEZE, CANCEL) is always heard: a suspended device remembers
 * it for its resume. What the workers report (END, ERROR) can only come while they run; anywhere
 * else it is a worker that was told to stop, and must not undo what it was stopped for. But a pass
 * that is done when the device is about to suspend is done.
 */
static const s8 moves[INTEGRITY_PASS_NR_STATES][INTEGRITY_PASS_NR_EVENTS] = {
	/*                START      FREEZE    END     CANCEL  ERROR   SUSPEND    RESUME */
	[IDLE]      = { RUNNING,   FROZEN,   BUSY,   IDLE,   BUSY,   S_IDLE,    IDLE },
	[RUNNING]   = { RUNNING,   FROZEN,   IDLE,   IDLE,   FAILED, S_RUNNING, RUNNING },
	[FROZEN]    = { RUNNING,   FROZEN,   BUSY,   IDLE,   BUSY,   S_FROZEN,  FROZEN },
	[FAILED]    = { RUNNING,   FROZEN,   BUSY,   IDLE,   BUSY,   S_FAILED,  FAILED },
	[S_IDLE]    = { S_RUNNING, S_FROZEN, BUSY,   S_IDLE, BUSY,   S_IDLE,    IDLE },
	[S_RUNNING] = { S_RUNNING, S_FROZEN, S_IDLE, S_IDLE, BUSY,   S_RUNNING, RUNNING },
	[S_FROZEN]  = { S_RUNNING, S_FROZEN, BUSY,   S_IDLE, BUSY,   S_FROZEN,  FROZEN },
	[S_FAILED]  = { S_RUNNING, S_FROZEN, BUSY,   S_IDLE, BUSY,   S_FAILED,  FAILED },
};

int integrity_pass_move(enum integrity_pass_state state, enum integrity_pass_event event)
{
	if ((unsigned int)state >= INTEGRITY_PASS_NR_STATES ||
	    (unsigned int)event >= INTEGRITY_PASS_NR_EVENTS)
		return -EBUSY;
	return moves[state][event];
}

bool integrity_pass_is_running(enum integrity_pass_state state)
{
	return state == RUNNING;
}

bool integrity_pass_is_suspended(enum integrity_pass_state state)
{
	return state == S_IDLE || state == S_RUNNING || state == S_FROZEN || state == S_FAILED;
}

const char *integrity_pass_action(enum integrity_pass_state state, const char *action)
{
	switch (state) {
	case RUNNING:
		return action;
	case FROZEN:
	case S_FROZEN:
		return "frozen";
	case FAILED:
	case S_FAILED:
		return "failed";
	case S_RUNNING:
		return "suspended";
	default:
		return "idle";
	}
}
