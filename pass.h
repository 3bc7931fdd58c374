/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The states of the background pass, and the one function that moves between them.
 *
 * Pure, so that the whole table is tested in userspace. recalc.c calls integrity_pass_move()
 * under its lock.
 */
#ifndef DM_INTEGRITY_PASS_H
#define DM_INTEGRITY_PASS_H

#include "portable.h"

/*
 * Every state exists twice: while the device is active, and while it is suspended, which
 * remembers what to go back to. A device starts in SUSPENDED_IDLE: loaded, not yet resumed.
 */
enum integrity_pass_state {
	INTEGRITY_PASS_IDLE,
	INTEGRITY_PASS_RUNNING,
	INTEGRITY_PASS_FROZEN,
	INTEGRITY_PASS_FAILED,
	INTEGRITY_PASS_SUSPENDED_IDLE,
	INTEGRITY_PASS_SUSPENDED_RUNNING,
	INTEGRITY_PASS_SUSPENDED_FROZEN,
	INTEGRITY_PASS_SUSPENDED_FAILED,
	INTEGRITY_PASS_NR_STATES,
};

enum integrity_pass_event {
	INTEGRITY_PASS_START,		/* begin, or continue after FROZEN or FAILED */
	INTEGRITY_PASS_FREEZE,		/* pause, keeping the position */
	INTEGRITY_PASS_END,		/* the last block is done */
	INTEGRITY_PASS_CANCEL,		/* give the pass up: to idle */
	INTEGRITY_PASS_ERROR,		/* cannot go on */
	INTEGRITY_PASS_SUSPEND,		/* the device suspends */
	INTEGRITY_PASS_RESUME,		/* the device resumes */
	INTEGRITY_PASS_NR_EVENTS,
};

/**
 * integrity_pass_move - the state after @event, or -EBUSY when @event is not allowed in @state
 *
 * START and FREEZE and CANCEL are allowed in every state (in a suspended one they change what
 * resume goes back to); START when already running, FREEZE when already frozen, CANCEL when
 * idle, SUSPEND when suspended and RESUME when active change nothing. ERROR is allowed only from
 * RUNNING, END from SUSPENDED_RUNNING as well: the last worker was at it when the device suspended.
 */
int integrity_pass_move(enum integrity_pass_state state, enum integrity_pass_event event);

/* Do workers of the pass run in this state. */
bool integrity_pass_is_running(enum integrity_pass_state state);

/* Is the device suspended in this state. */
bool integrity_pass_is_suspended(enum integrity_pass_state state);

/**
 * integrity_pass_action - the word of the status line
 * @action: what the pass does, "recalculate" or "check", printed for RUNNING
 *
 * IDLE and SUSPENDED_IDLE print idle; SUSPENDED_RUNNING prints suspended; FROZEN and
 * SUSPENDED_FROZEN print frozen; FAILED and SUSPENDED_FAILED print failed.
 */
const char *integrity_pass_action(enum integrity_pass_state state, const char *action);

#endif
