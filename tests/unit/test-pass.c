// SPDX-License-Identifier: GPL-2.0-only
/* The states of the background pass against the rules of pass.h, written down a second time. */
#include "../../pass.h"
#include "unit.h"

enum base { IDLE, RUNNING, FROZEN, FAILED };

/* A state as pass.h describes it: what the pass does, and whether the device is suspended. */
struct model {
	enum base base;
	bool suspended;
};

static enum integrity_pass_state state_of(struct model m)
{
	static const enum integrity_pass_state active[] = {
		INTEGRITY_PASS_IDLE, INTEGRITY_PASS_RUNNING,
		INTEGRITY_PASS_FROZEN, INTEGRITY_PASS_FAILED,
	};
	static const enum integrity_pass_state suspended[] = {
		INTEGRITY_PASS_SUSPENDED_IDLE, INTEGRITY_PASS_SUSPENDED_RUNNING,
		INTEGRITY_PASS_SUSPENDED_FROZEN, INTEGRITY_PASS_SUSPENDED_FAILED,
	};

	return m.suspended ? suspended[m.base] : active[m.base];
}

/* Returns whether the event is allowed; moves if so. */
static bool model_move(struct model *m, enum integrity_pass_event event)
{
	switch (event) {
	case INTEGRITY_PASS_START:
		m->base = RUNNING;
		return true;
	case INTEGRITY_PASS_FREEZE:
		m->base = FROZEN;
		return true;
	case INTEGRITY_PASS_CANCEL:
		m->base = IDLE;
		return true;
	case INTEGRITY_PASS_SUSPEND:
		m->suspended = true;
		return true;
	case INTEGRITY_PASS_RESUME:
		m->suspended = false;
		return true;
	case INTEGRITY_PASS_END:
		if (m->base != RUNNING)
			return false;
		m->base = IDLE;
		return true;
	case INTEGRITY_PASS_ERROR:
		if (m->suspended || m->base != RUNNING)
			return false;
		m->base = FAILED;
		return true;
	default:
		return false;
	}
}

/* Every state with every event. */
static void test_moves(void)
{
	bool seen[INTEGRITY_PASS_NR_STATES] = { };
	int state, event, i, got;
	struct model m, before;

	for (i = 0; i < 8; i++) {
		before = (struct model){ .base = i & 3, .suspended = i >> 2 };
		state = state_of(before);
		seen[state] = true;
		for (event = 0; event < INTEGRITY_PASS_NR_EVENTS; event++) {
			m = before;
			got = integrity_pass_move(state, event);
			if (model_move(&m, event)) {
				if (got != (int)state_of(m))
					unit_fail(__FILE__, __LINE__,
						  "state %d, event %d: moves to %d, not %d", state,
						  event, got, (int)state_of(m));
			} else if (got != -EBUSY) {
				unit_fail(__FILE__, __LINE__, "state %d, event %d: %d, not refused",
					  state, event, got);
			}
		}
	}
	for (i = 0; i < INTEGRITY_PASS_NR_STATES; i++)
		CHECK(seen[i]);
}

static void test_out_of_range(void)
{
	CHECK_EQ(integrity_pass_move(INTEGRITY_PASS_NR_STATES, INTEGRITY_PASS_START), -EBUSY);
	CHECK_EQ(integrity_pass_move(-1, INTEGRITY_PASS_START), -EBUSY);
	CHECK_EQ(integrity_pass_move(INTEGRITY_PASS_IDLE, INTEGRITY_PASS_NR_EVENTS), -EBUSY);
	CHECK_EQ(integrity_pass_move(INTEGRITY_PASS_IDLE, -1), -EBUSY);
}

static void test_predicates(void)
{
	static const char * const words[] = { "idle", "check", "frozen", "failed" };
	struct model m;
	int i, state;

	for (i = 0; i < 8; i++) {
		m = (struct model){ .base = i & 3, .suspended = i >> 2 };
		state = state_of(m);
		CHECK_EQ(integrity_pass_is_running(state), m.base == RUNNING && !m.suspended);
		CHECK_EQ(integrity_pass_is_suspended(state), m.suspended);
		CHECK_STR(integrity_pass_action(state, "check"),
			  m.base == RUNNING && m.suspended ? "suspended" : words[m.base]);
	}
	CHECK_STR(integrity_pass_action(INTEGRITY_PASS_RUNNING, "recalculate"), "recalculate");
}

/*
 * A long walk from the state of a loaded table. What must hold whatever happens: workers run only
 * while the device is active, a pass runs only after it was started, and a suspend with its resume
 * changes nothing by itself.
 */
static void test_walk(void)
{
	unsigned int visits[INTEGRITY_PASS_NR_STATES] = { };
	int state = INTEGRITY_PASS_SUSPENDED_IDLE;
	struct model m = { .base = IDLE, .suspended = true };
	bool wanted = false, allowed;
	int i, event, got;

	for (i = 0; i < 200000; i++) {
		event = unit_below(INTEGRITY_PASS_NR_EVENTS);
		got = integrity_pass_move(state, event);
		allowed = model_move(&m, event);
		CHECK_EQ(got >= 0, allowed);

		if (event == INTEGRITY_PASS_START)
			wanted = true;
		else if (event == INTEGRITY_PASS_FREEZE || event == INTEGRITY_PASS_CANCEL ||
			 (allowed && event == INTEGRITY_PASS_END) ||
			 (allowed && event == INTEGRITY_PASS_ERROR))
			wanted = false;
		if (allowed)
			state = got;

		CHECK_EQ(state, state_of(m));
		CHECK_EQ(integrity_pass_is_running(state),
			 wanted && !integrity_pass_is_suspended(state));
		if (!integrity_pass_is_suspended(state)) {
			got = integrity_pass_move(state, INTEGRITY_PASS_SUSPEND);
			CHECK(integrity_pass_is_suspended(got));
			CHECK_EQ(integrity_pass_move(got, INTEGRITY_PASS_RESUME), state);
		}
		visits[state]++;
	}
	for (i = 0; i < INTEGRITY_PASS_NR_STATES; i++)
		CHECK(visits[i] > 100);
}

static const struct unit_test tests[] = {
	{ "pass-moves", test_moves },
	{ "pass-out-of-range", test_out_of_range },
	{ "pass-predicates", test_predicates },
	{ "pass-walk", test_walk },
};

UNIT_MAIN(tests)
