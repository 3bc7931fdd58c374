// SPDX-License-Identifier: GPL-2.0-only
/*
 * Following passes to their end.
 *
 * The status is asked for twice a second: an event tells the end of a pass, but not its progress.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"

#define POLL_SECONDS		0.5
#define LOG_SECONDS		10.0
#define BAR_MIN			8
#define BAR_MAX			50

struct watched {
	struct device d;
	bool over;
	int status;		/* exit status, when it is over */
	char how[256];		/* the same in words */
	bool tell_last;		/* with nothing at work, the last pass is what was asked for */
	enum state pass;	/* seen at work, or begun by this command; STATE_IDLE for none */
	uint64_t check_total;	/* sectors of the check that was seen at work last, 0 for none */
	uint32_t check_events;	/* of the device then */
	double since;		/* start of the measurement of a rate that is not told */
	uint64_t done_then;
	bool printed;
	double printed_at;
};

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

void catch_signals(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	const struct sigaction action = { .sa_handler = on_signal };
	struct sigaction old;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		/* Such as by nohup. */
		if (!sigaction(numbers[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
}

int signal_status(void)
{
	return caught ? 128 + caught : 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* A signal cuts it short. */
static void nap(double seconds)
{
	struct timespec t = { .tv_sec = seconds };

	t.tv_nsec = (seconds - t.tv_sec) * 1e9;
	nanosleep(&t, NULL);
}

/* --- what became of it --- */

static __printf(3, 4) void end(struct watched *w, int status, const char *fmt, ...)
{
	va_list args;

	w->over = true;
	w->status = status;
	va_start(args, fmt);
	vsnprintf(w->how, sizeof(w->how), fmt, args);
	va_end(args);
}

/* What is followed is a recalculation that is not complete, whatever pass the numbers are of. */
static bool is_left(const struct watched *w)
{
	return w->pass == STATE_RECALCULATE && device_is_pending(&w->d);
}

/* A check that has come to its end leaves a recalculation paused that was so before. */
static bool is_paused(const struct watched *w)
{
	uint64_t done, total;

	if (is_left(w))
		return true;
	/* Where no block has a tag, a check has nothing to do. */
	if (!device_pass(&w->d, &done, &total))
		return w->pass != STATE_CHECK;
	return done < total;
}

/*
 * Is what is told not of the check that was seen at work: a table that was loaded anew has given it
 * up. A check that has come to its end raises an event, and has a rate unless it was very slow.
 */
static bool is_given_up(const struct watched *w)
{
	uint64_t done, total;

	if (w->pass != STATE_CHECK || !w->check_total)
		return false;
	if (!device_pass(&w->d, &done, &total) || total != w->check_total)
		return true;
	return done == total && !w->d.status.rate && w->d.events == w->check_events;
}

static void end_idle(struct watched *w)
{
	const struct status *s = &w->d.status;
	bool seen = w->pass != STATE_IDLE;
	const char *which = seen ? "" : "nothing to do, the last pass ";
	uint64_t done, total;
	bool pass = device_pass(&w->d, &done, &total);

	if (!seen && !(pass && w->tell_last))
		end(w, EXIT_OK, "nothing to do");
	else if (is_given_up(w))
		end(w, EXIT_STOPPED, "was given up, the table was loaded anew");
	else if (!pass && w->pass == STATE_CHECK)
		end(w, EXIT_OK, "nothing to check, no block there has a tag");
	else if ((pass && done < total) || is_left(w) ||
		 (w->pass == STATE_RECALCULATE && !s->have_mark))
		end(w, EXIT_STOPPED, "%swas ended before its end", which);
	else
		end(w, s->have_bad && s->bad ? EXIT_BAD_BLOCKS : EXIT_OK, "%shas ended", which);
}

/* A pass is at work. Of one that went before nothing more is told. */
static void see(struct watched *w)
{
	enum state pass = device_is_check(&w->d) ? STATE_CHECK : STATE_RECALCULATE;
	uint64_t done;

	if (w->pass != STATE_IDLE && w->pass != pass)
		end(w, EXIT_STOPPED, "another pass runs now");
	w->pass = pass;
	if (pass != STATE_CHECK || !device_pass(&w->d, &done, &w->check_total))
		w->check_total = 0;
	w->check_events = w->d.events;
}

/* Is it over, and how. */
static void judge(struct watched *w)
{
	switch (device_state(&w->d)) {
	case STATE_RECALCULATE:
	case STATE_CHECK:
	case STATE_SUSPENDED:
		see(w);
		break;
	case STATE_FROZEN:
		if (is_paused(w))
			end(w, EXIT_STOPPED, "is paused");
		else
			end_idle(w);
		break;
	case STATE_FAILED:
		end(w, EXIT_FAILED, "failed, the kernel's log says why");
		break;
	case STATE_DEAD:
		end(w, EXIT_FAILED, "the device failed, the kernel's log says why");
		break;
	case STATE_IDLE:
		/* A table that was loaded anew goes on when its first resume is through. */
		if (!w->d.suspended || !is_left(w))
			end_idle(w);
		break;
	case STATE_UNKNOWN:
		end(w, EXIT_ERROR, "a state that this program does not know");
		break;
	}
}

/* The in-tree target does not tell the rate: measured from the first look on. */
static void measure_rate(struct watched *w)
{
	double seconds = now() - w->since;
	uint64_t done, total;

	if (w->d.status.have_action || !device_pass(&w->d, &done, &total))
		return;
	if (!w->since || done < w->done_then) {
		w->since = now();
		w->done_then = done;
	} else if (seconds >= POLL_SECONDS) {
		w->d.status.have_rate = true;
		w->d.status.rate = (done - w->done_then) / 2 / seconds;
	}
}

static void look(struct watched *w)
{
	int r = device_refresh(&w->d);

	if (r == -ENODEVICE || r == -ENOTINTEGRITY) {
		end(w, EXIT_NO_DEVICE, "the device is gone");
	} else if (r) {
		end(w, EXIT_ERROR, "%s", device_error(r));
	} else {
		judge(w);
		measure_rate(w);
	}
}

static size_t rank(int status)
{
	static const size_t ranks[] = {
		[EXIT_OK] = 0, [EXIT_STOPPED] = 1, [EXIT_BAD_BLOCKS] = 2, [EXIT_NO_DEVICE] = 3,
		[EXIT_ERROR] = 4, [EXIT_FAILED] = 5,
	};

	/* That of a signal: not all was seen. */
	return (size_t)status < ARRAY_SIZE(ranks) ? ranks[status] : ARRAY_SIZE(ranks);
}

int worse(int a, int b)
{
	return rank(a) > rank(b) ? a : b;
}

/* --- told to end --- */

static bool tell(struct watched *w, const char *text)
{
	char reason[256], name[256];
	int r = device_message(&w->d, text, NULL, reason, sizeof(reason));

	if (!r)
		return true;
	end(w, EXIT_ERROR, "cannot pause the check: the kernel refused '%s': %s%s%s", text,
	    device_error(r), *reason ? ": " : "", reason);
	fprintf(stderr, "integrityctl: %s: %s\n", printable(w->d.name, name, sizeof(name)), w->how);
	return false;
}

/* Leaves the check paused. It may come to its end meanwhile, then it is as if it had not been. */
static void pause_check(struct watched *w)
{
	if (!tell(w, "frozen"))
		return;
	look(w);
	if (device_frozen_for_nothing(&w->d) && tell(w, "idle"))
		look(w);
}

/* Those that are not over: checks are paused where that was asked for, but no other pass. */
static void stop(struct watched *w, size_t count, const struct watch_options *opt)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (!w[i].over && opt->pause_on_signal && device_is_check(&w[i].d))
			pause_check(&w[i]);
		if (!w[i].over)
			end(&w[i], signal_status(), "goes on, a signal ended the watching");
	}
}

/* --- pictures --- */

static void rate_text(const struct watched *w, char *buf, size_t size)
{
	const struct status *s = &w->d.status;
	uint64_t done, total, left;
	char rate[32];

	*buf = '\0';
	if (!s->have_rate || !device_pass(&w->d, &done, &total))
		return;
	size_text(2 * s->rate, rate, sizeof(rate));
	if (w->over || !s->rate || done > total) {
		snprintf(buf, size, "%s/s", rate);
		return;
	}
	left = (total - done) / 2 / s->rate;
	snprintf(buf, size, "%s/s  %" PRIu64 ":%02u:%02u left", rate, left / 3600,
		 (unsigned int)(left / 60 % 60), (unsigned int)(left % 60));
}

static void bad_text(const struct watched *w, char *buf, size_t size)
{
	const struct status *s = &w->d.status;

	*buf = '\0';
	if (s->have_bad && s->bad && s->have_first_bad)
		snprintf(buf, size, "%" PRIu64 " bad, the first at sector %" PRIu64, s->bad,
			 s->first_bad);
	else if (s->have_bad && s->bad)
		snprintf(buf, size, "%" PRIu64 " bad", s->bad);
}

/* One line, for a log: everything in words. */
static void print_line(const struct watched *w)
{
	char name[256], rate[80], bad[80];
	uint64_t done, total;

	rate_text(w, rate, sizeof(rate));
	bad_text(w, bad, sizeof(bad));
	printf("%s: %s", printable(w->d.name, name, sizeof(name)), device_state_word(&w->d));
	if (device_pass(&w->d, &done, &total))
		printf("  %.1f%%  %" PRIu64 "/%" PRIu64 " sectors", percent(done, total), done,
		       total);
	printf("%s%s%s%s%s%s\n", *rate ? "  " : "", rate, *bad ? "  " : "", bad,
	       w->over ? "  - " : "", w->over ? w->how : "");
	fflush(stdout);
}

static void bar(char *buf, int width, double part)
{
	int full = part / 100 * width;
	int i;

	for (i = 0; i < width; i++)
		buf[i] = i < full ? '=' : i == full ? '>' : ' ';
	buf[width] = '\0';
}

/* One line of a terminal @columns wide: cut, never wrapped. */
static void print_picture(const struct watched *w, int columns, int name_width)
{
	char text[440], line[800], bar_text[BAR_MAX + 1], name[256], rate[80], bad[80];
	uint64_t done, total;
	int width;

	rate_text(w, rate, sizeof(rate));
	bad_text(w, bad, sizeof(bad));
	printable(w->d.name, name, sizeof(name));
	if (!device_pass(&w->d, &done, &total)) {
		snprintf(line, sizeof(line), "%-*s  %-11s  %s", name_width, name,
			 device_state_word(&w->d), w->over ? w->how : "");
	} else {
		snprintf(text, sizeof(text), "%5.1f%%%s%s%s%s%s%s", percent(done, total),
			 *rate ? "  " : "", rate, *bad ? "  " : "", bad, w->over ? "  " : "",
			 w->over ? w->how : "");
		/* name, two, word, two, '[', bar, ']', blank, text */
		width = columns - name_width - 2 - 11 - 2 - 3 - (int)strlen(text);
		if (width > BAR_MAX)
			width = BAR_MAX;
		if (width < BAR_MIN) {
			snprintf(line, sizeof(line), "%-*s  %-11s  %s", name_width, name,
				 device_state_word(&w->d), text);
		} else {
			bar(bar_text, width, percent(done, total));
			snprintf(line, sizeof(line), "%-*s  %-11s  [%s] %s", name_width, name,
				 device_state_word(&w->d), bar_text, text);
		}
	}
	printf("\r%.*s\033[K\n", columns, line);
}

/* The last column stays free, since some terminals wrap when it is written to. */
static void terminal_size(int *columns, size_t *rows)
{
	struct winsize size = { };

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*columns = size.ws_col >= 2 ? size.ws_col - 1 : 79;
	*rows = size.ws_row ? size.ws_row : 24;
}

/* Can so many lines be drawn again in their place; the cursor is below them. */
static bool is_place_for(size_t count)
{
	size_t rows;
	int columns;

	if (!isatty(STDOUT_FILENO))
		return false;
	terminal_size(&columns, &rows);
	return count < rows;
}

static void draw(const struct watched *w, size_t count, bool again)
{
	int columns, width = 0;
	size_t rows, i;

	terminal_size(&columns, &rows);
	for (i = 0; i < count; i++)
		if ((int)strlen(w[i].d.name) > width)
			width = strlen(w[i].d.name);
	if (again)
		printf("\033[%zuA", count);
	for (i = 0; i < count; i++)
		print_picture(&w[i], columns, width);
	fflush(stdout);
}

static void print_json(const struct watched *w)
{
	struct json j = { .file = stdout };

	json_object(&j, NULL);
	json_number(&j, "version", 1);
	json_string(&j, "command", "watch");
	json_string(&j, "event", w->over ? "end" : "progress");
	json_string(&j, "name", *w->d.name ? w->d.name : NULL);
	if (!*w->d.name || (w->over && w->status == EXIT_NO_DEVICE))
		json_null(&j, "device");
	else
		json_device(&j, "device", &w->d);
	json_maybe(&j, "exit_status", w->over, w->status);
	json_string(&j, "how", w->over ? w->how : NULL);
	json_end_object(&j);
	putchar('\n');
	fflush(stdout);
}

/* Lines for those that ended, that are new, or whose time has come. */
static void print_lines(struct watched *w, size_t count, const struct watch_options *opt,
			double interval)
{
	const double t = now();
	size_t i;

	for (i = 0; i < count; i++) {
		if (w[i].printed && w[i].over && w[i].printed_at < 0)
			continue;
		if (w[i].printed && !w[i].over && t < w[i].printed_at + interval)
			continue;
		if (opt->json)
			print_json(&w[i]);
		else
			print_line(&w[i]);
		w[i].printed = true;
		/* What is over is said once. */
		w[i].printed_at = w[i].over ? -1 : t;
	}
}

/* --- the loop --- */

/* Looks at those that are not over. Returns whether one goes on. */
static bool look_at_all(struct watched *w, size_t count)
{
	bool going = false;
	size_t i;

	for (i = 0; i < count; i++) {
		if (!w[i].over)
			look(&w[i]);
		going |= !w[i].over;
	}
	return going;
}

/* What was at work when the device was found may be over before the first look. */
static struct watched begin(const struct device *d, const struct watch_options *opt)
{
	struct watched w = { .d = *d, .tell_last = opt->tell_last, .pass = opt->begun };

	if (!opt->begun && device_is_working(d))
		see(&w);
	return w;
}

static int watch_none(const struct watch_options *opt)
{
	struct watched none = { };

	end(&none, EXIT_OK, "no device has a pass that goes on");
	if (opt->json)
		print_json(&none);
	else
		fprintf(stderr, "integrityctl: %s\n", none.how);
	return none.status;
}

int watch(const struct device *list, size_t count, const struct watch_options *opt)
{
	struct watched *w;
	bool picture = !opt->json && is_place_for(count);
	double interval = opt->interval ? opt->interval : picture ? POLL_SECONDS : LOG_SECONDS;
	double poll = interval < POLL_SECONDS ? interval : POLL_SECONDS;
	bool again = false, going;
	int status = EXIT_OK;
	size_t i;

	if (!count)
		return watch_none(opt);
	w = calloc(count, sizeof(*w));
	if (!w)
		return -ENOMEM;
	for (i = 0; i < count; i++)
		w[i] = begin(&list[i], opt);
	catch_signals();
	do {
		going = look_at_all(w, count);
		if (going && caught) {
			stop(w, count, opt);
			going = false;
		}
		if (picture)
			draw(w, count, again);
		else
			print_lines(w, count, opt, interval);
		again = true;
		if (going)
			nap(poll);
	} while (going);
	for (i = 0; i < count; i++)
		status = worse(status, w[i].status);
	free(w);
	return status;
}
