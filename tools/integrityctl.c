// SPDX-License-Identifier: GPL-2.0-only
/*
 * integrityctl - shows and controls devices with the device-mapper target integrity.
 *
 * A reader of the status and sender of messages (Documentation/status-and-messages.rst): what it
 * knows it asks the kernel, and what it does the kernel does. integrityctl(8) is the reference.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

enum {
	OPT_JSON	= 1 << 0,
	OPT_START	= 1 << 1,
	OPT_LENGTH	= 1 << 2,
	OPT_WAIT	= 1 << 3,
	OPT_MIN		= 1 << 4,
	OPT_MAX		= 1 << 5,
	OPT_INTERVAL	= 1 << 6,
	OPT_PAUSE	= 1 << 7,
};

#define OPT_WAITING	(OPT_WAIT | OPT_INTERVAL)

/* One run of the program. */
struct run {
	const struct command *command;
	unsigned int given;	/* options */
	uint64_t start;		/* sectors */
	uint64_t length;
	uint64_t min;		/* KiB/s */
	uint64_t max;
	double interval;
	char **names;		/* of devices */
	int nr_names;
	char wrong[300];	/* with the command line */
	struct device d;	/* of commands for one device */
	enum state begun;	/* the pass that the command lets run, or STATE_IDLE */
};

struct command {
	const char *name;
	int devices;		/* 0, 1, or -1 for any number */
	unsigned int options;	/* besides OPT_JSON */
	int (*run)(struct run *run);
	const char *args;
	const char *help;
};

/* --- answers --- */

/* To the user; what a name may hold does not get to the terminal as it is. */
static __printf(1, 2) void say(const char *fmt, ...)
{
	char text[1600], plain[1600];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fprintf(stderr, "integrityctl: %s\n", printable(text, plain, sizeof(plain)));
}

static void begin_json(const struct run *run, struct json *j)
{
	*j = (struct json) { .file = stdout };
	json_object(j, NULL);
	json_number(j, "version", 1);
	json_string(j, "command", run->command ? run->command->name : NULL);
}

static void end_json(struct json *j)
{
	json_end_object(j);
	putchar('\n');
}

/* An error to the user, and as JSON when that was asked for. Returns @status. */
static __printf(4, 5)
int complain(const struct run *run, int status, const char *kernel, const char *fmt, ...)
{
	const char *reason = kernel && *kernel ? kernel : NULL;
	struct json j;
	char text[1000];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	say("%s%s%s", text, reason ? ": " : "", reason ? reason : "");
	if (!(run->given & OPT_JSON))
		return status;
	begin_json(run, &j);
	json_object(&j, "error");
	json_number(&j, "exit_status", status);
	json_string(&j, "message", text);
	json_string(&j, "kernel", reason);
	json_end_object(&j);
	end_json(&j);
	return status;
}

static int complain_device(const struct run *run, const char *name, int error)
{
	int status = error == -ENODEVICE || error == -ENOTINTEGRITY ? EXIT_NO_DEVICE : EXIT_ERROR;

	return complain(run, status, NULL, "%s: %s", name, device_error(error));
}

/* Something worth to know that is no error; JSON shows it in the state of the device. */
static void remark(const struct run *run, const char *text)
{
	if (!(run->given & OPT_JSON))
		say("%s: %s", run->d.name, text);
}

/* --- what all commands do --- */

/* Finds the device that the command is for. */
static int get_device(struct run *run)
{
	int r = device_get(run->names[0], &run->d);

	return r ? complain_device(run, run->names[0], r) : EXIT_OK;
}

static int look_again(struct run *run)
{
	int r = device_refresh(&run->d);

	return r ? complain_device(run, run->d.name, r) : EXIT_OK;
}

/* The target of the Linux tree takes no messages: says so, and what can be done instead. */
static int need_control(const struct run *run, const char *instead)
{
	const unsigned int *v = run->d.version;

	if (device_has_control(&run->d))
		return EXIT_OK;
	return complain(run, EXIT_UNSUPPORTED, NULL,
			"%s: the target in use (the kernel's own, version %u.%u.%u) takes no messages, so it has no '%s'%s%s",
			run->d.name, v[0], v[1], v[2], run->command->name, instead ? "; " : "",
			instead ? instead : "");
}

static int complain_dead(const struct run *run, const char *kernel)
{
	return complain(run, EXIT_FAILED, kernel,
			"%s: the device has failed, the kernel's log says why", run->d.name);
}

/* A device that has failed takes some messages, but nothing comes of them. */
static int need_alive(const struct run *run)
{
	return device_state(&run->d) == STATE_DEAD ? complain_dead(run, NULL) : EXIT_OK;
}

/* Looks at the device that a command is to control. */
static int get_controlled(struct run *run, const char *instead)
{
	int status = get_device(run);

	if (!status)
		status = need_control(run, instead);
	return status ? status : need_alive(run);
}

/* Has it failed since it was looked at. */
static bool has_died(const struct run *run)
{
	struct device d = run->d;

	return !device_refresh(&d) && device_state(&d) == STATE_DEAD;
}

/* Sends a message, or says why the kernel refused it. */
static int send(const struct run *run, const char *text, char **reply)
{
	char reason[512];
	bool unknown;
	int r;

	/* What is begun here is not left alone when we are told to end before it is watched. */
	if (run->given & OPT_WAIT)
		catch_signals();
	r = device_message(&run->d, text, reply, reason, sizeof(reason));
	if (!r)
		return EXIT_OK;
	if (r == -ENODEVICE)
		return complain_device(run, run->d.name, r);
	/* A word alone can only be refused as such. */
	unknown = r == -EINVAL && (!strncmp(reason, "unknown message", 15) ||
				   (!*reason && !strchr(text, ' ')));
	if (unknown)
		return complain(run, EXIT_UNSUPPORTED, reason,
				"%s: the module that is loaded does not know '%s'", run->d.name,
				text);
	if (has_died(run))
		return complain_dead(run, reason);
	return complain(run, r == -EBUSY ? EXIT_BUSY : EXIT_ERROR, reason,
			"%s: the kernel refused '%s': %s", run->d.name, text, device_error(r));
}

static int follow(const struct run *run, const struct device *list, size_t count)
{
	const struct watch_options opt = {
		.json = run->given & OPT_JSON,
		.interval = run->interval,
		.pause_on_signal = run->given & OPT_PAUSE,
		.tell_last = !(run->given & OPT_WAIT),
		.begun = run->begun,
	};
	int r = watch(list, count, &opt);

	return r < 0 ? complain(run, EXIT_ERROR, NULL, "%s", device_error(r)) : r;
}

/* The end of a command that has done its work: waits, or shows what there is now. */
static int finish(struct run *run)
{
	struct json j;
	int status;

	if (run->given & OPT_WAIT)
		return follow(run, &run->d, 1);
	if (!(run->given & OPT_JSON))
		return signal_status();
	status = look_again(run);
	if (status)
		return status;
	begin_json(run, &j);
	json_device(&j, "device", &run->d);
	end_json(&j);
	return signal_status();
}

static int send_and_finish(struct run *run, const char *text)
{
	int status = send(run, text, NULL);

	return status ? status : finish(run);
}

static int begin_and_finish(struct run *run, const char *text, enum state pass)
{
	run->begun = pass;
	return send_and_finish(run, text);
}

/* --- looking --- */

static int list_devices(const struct run *run, struct device **list, size_t *count,
			size_t *strange)
{
	int r = device_list(list, count, strange);

	return r ? complain(run, EXIT_ERROR, NULL, "cannot list the devices: %s",
			    device_error(r)) : EXIT_OK;
}

static void json_error(struct json *j, const struct device *d)
{
	json_object(j, NULL);
	json_string(j, "name", d->name);
	json_string(j, "message", device_error(d->error));
	json_end_object(j);
}

static int run_list(struct run *run)
{
	struct device *list;
	struct json j;
	size_t count, strange, i;
	int status;

	status = list_devices(run, &list, &count, &strange);
	if (status)
		return status;
	if (run->given & OPT_JSON) {
		begin_json(run, &j);
		json_array(&j, "devices");
		for (i = 0; i < count; i++)
			json_device(&j, NULL, &list[i]);
		json_end_array(&j);
		json_array(&j, "errors");
		for (i = count; i < count + strange; i++)
			json_error(&j, &list[i]);
		json_end_array(&j);
		end_json(&j);
	} else {
		show_list(list, count);
	}
	for (i = count; i < count + strange; i++)
		say("%s: %s", list[i].name, device_error(list[i].error));
	free(list);
	return strange ? EXIT_ERROR : EXIT_OK;
}

static int run_status(struct run *run)
{
	int status = get_device(run);

	if (status)
		return status;
	if (run->given & OPT_JSON)
		return finish(run);
	show_status(&run->d);
	return EXIT_OK;
}

/* Of all devices those with a pass that goes on. */
static int working_devices(const struct run *run, struct device **list, size_t *count)
{
	size_t strange, i, n = 0;
	int status;

	status = list_devices(run, list, count, &strange);
	for (i = *count; i < *count + strange; i++)
		status = complain_device(run, (*list)[i].name, (*list)[i].error);
	for (i = 0; i < *count; i++)
		if (device_is_working(&(*list)[i]))
			(*list)[n++] = (*list)[i];
	*count = n;
	return status;
}

static int named_devices(const struct run *run, struct device **list)
{
	int i, r;

	*list = calloc(run->nr_names, sizeof(**list));
	if (!*list)
		return complain(run, EXIT_ERROR, NULL, "no memory");
	for (i = 0; i < run->nr_names; i++) {
		r = device_get(run->names[i], &(*list)[i]);
		if (r) {
			free(*list);
			*list = NULL;
			return complain_device(run, run->names[i], r);
		}
	}
	return EXIT_OK;
}

static int run_watch(struct run *run)
{
	struct device *list;
	size_t count = run->nr_names;
	int status;

	status = count ? named_devices(run, &list) : working_devices(run, &list, &count);
	/* Some of the devices may be left. */
	if (status && !list)
		return status;
	status = worse(status, follow(run, list, count));
	free(list);
	return status;
}

static int run_bad_blocks(struct run *run)
{
	struct ranges ranges;
	char *reply = NULL;
	struct json j;
	int r, status;
	size_t i;

	status = get_device(run);
	if (!status)
		status = need_control(run, "the kernel's log has the sectors of failed reads");
	if (!status)
		status = send(run, "bad_blocks", &reply);
	if (status)
		return status;
	r = parse_ranges(reply ? reply : "", &ranges);
	free(reply);
	if (r)
		return complain(run, EXIT_ERROR, NULL, "%s: the answer to 'bad_blocks' makes no sense",
				run->d.name);
	if (run->given & OPT_JSON) {
		begin_json(run, &j);
		json_array(&j, "ranges");
		for (i = 0; i < ranges.count; i++) {
			json_object(&j, NULL);
			json_number(&j, "start_sector", ranges.range[i].start);
			json_number(&j, "sectors", ranges.range[i].length);
			json_end_object(&j);
		}
		json_end_array(&j);
		json_bool(&j, "complete", ranges.complete);
		json_device(&j, "device", &run->d);
		end_json(&j);
	} else {
		for (i = 0; i < ranges.count; i++)
			printf("%" PRIu64 " %" PRIu64 "\n", ranges.range[i].start,
			       ranges.range[i].length);
		if (!ranges.complete)
			remark(run, "there are more than the kernel could keep");
	}
	status = ranges.count || !ranges.complete ? EXIT_BAD_BLOCKS : EXIT_OK;
	free_ranges(&ranges);
	return status;
}

/* --- control --- */

static int run_recalculate(struct run *run)
{
	const struct device *d = &run->d;
	int status = get_controlled(run, "load its table again with the word 'recalculate'");

	if (status)
		return status;
	if (d->status.have_mark && !device_is_pending(d) &&
	    (device_state(d) == STATE_IDLE || device_frozen_for_nothing(d))) {
		remark(run, "the recalculation is complete; 'restart' does it again");
		return send_and_finish(run, "recalculate");
	}
	return begin_and_finish(run, "recalculate", STATE_RECALCULATE);
}

static int run_restart(struct run *run)
{
	int status = get_controlled(run, "load its table again with the word 'reset_recalculate'");

	return status ? status : begin_and_finish(run, "reset_recalculate", STATE_RECALCULATE);
}

/*
 * Pause what is at work. When it comes to its end first, the device would be frozen with nothing to
 * do, which keeps the next pass from starting.
 */
static int pause_pass(struct run *run)
{
	int status;

	/* Told to end between the two messages, we still send the second. */
	catch_signals();
	status = send(run, "frozen", NULL);
	if (!status)
		status = look_again(run);
	if (status || !device_frozen_for_nothing(&run->d))
		return status;
	remark(run, "the pass has come to its end");
	return send(run, "idle", NULL);
}

static int run_pause(struct run *run)
{
	int status = get_controlled(run, "'dmsetup suspend' stops it, and all I/O with it");

	if (status)
		return status;
	if (device_state(&run->d) == STATE_IDLE) {
		remark(run, "nothing is going on that could be paused");
		return finish(run);
	}
	if (!device_is_working(&run->d))
		return send_and_finish(run, "frozen");
	status = pause_pass(run);
	return status ? status : finish(run);
}

/* Where it may not write, the kernel takes 'idle' as well, and nothing goes on. */
static int resume_recalculation(struct run *run)
{
	enum state state;
	int status;

	if (!device_is_read_only(&run->d)) {
		status = send(run, "idle", NULL);
		if (!status)
			status = look_again(run);
		if (status)
			return status;
		state = device_state(&run->d);
		if (!device_is_pending(&run->d) ||
		    (state != STATE_FROZEN && state != STATE_IDLE)) {
			run->begun = STATE_RECALCULATE;
			return finish(run);
		}
	}
	return complain(run, EXIT_ERROR, NULL,
			"%s: the recalculation cannot go on: the device, or one below it, is read-only",
			run->d.name);
}

static int run_resume(struct run *run)
{
	const struct device *d = &run->d;
	int status = get_controlled(run, NULL);

	if (status)
		return status;
	switch (device_state(d)) {
	case STATE_FROZEN:
		/* 'idle' would end a check. */
		if (device_is_check(d))
			return begin_and_finish(run, "check", STATE_CHECK);
		return device_is_pending(d) ? resume_recalculation(run) :
					      send_and_finish(run, "idle");
	case STATE_FAILED:
		if (device_is_check(d))
			return begin_and_finish(run, "check", STATE_CHECK);
		return begin_and_finish(run, "recalculate", STATE_RECALCULATE);
	case STATE_IDLE:
		remark(run, "nothing is paused");
		return finish(run);
	default:
		return finish(run);
	}
}

static int run_cancel(struct run *run)
{
	const struct device *d = &run->d;
	int status = get_controlled(run, NULL);

	if (status)
		return status;
	if (device_state(d) == STATE_IDLE) {
		/* The flag of a complete recalculation stays: a volume that grows needs it. */
		remark(run, "nothing is going on that could be cancelled");
		return finish(run);
	}
	if (!device_is_pending(d))
		return send_and_finish(run, "idle");
	if (device_is_check(d)) {
		/* This lets the recalculation go on that was paused, or failed, before. */
		catch_signals();
		status = send(run, "idle", NULL);
		if (!status)
			status = pause_pass(run);
		return status ? status : finish(run);
	}
	/* It may be complete by now. Suspended, it cannot be. */
	if (device_state(d) == STATE_RECALCULATE) {
		status = pause_pass(run);
		if (status)
			return status;
		if (!device_is_pending(d))
			return finish(run);
	}
	return send_and_finish(run, "cancel_recalculate");
}

static int run_check(struct run *run)
{
	char text[64] = "check";
	int status = get_controlled(run, "reading the device verifies it, too");

	if (status)
		return status;
	if (run->given & (OPT_START | OPT_LENGTH)) {
		/* Its table may map less than the volume provides. */
		if (run->start >= run->d.length)
			return complain(run, EXIT_USAGE, NULL, "%s: sector %" PRIu64
					" is beyond its end at %" PRIu64, run->d.name, run->start,
					run->d.length);
		if (!(run->given & OPT_LENGTH))
			run->length = run->d.length - run->start;
		snprintf(text, sizeof(text), "check %" PRIu64 " %" PRIu64, run->start,
			 run->length);
	}
	return begin_and_finish(run, text, STATE_CHECK);
}

static int run_speed(struct run *run)
{
	char text[64];
	struct json j;
	int status;

	status = get_device(run);
	if (!status)
		status = need_control(run, NULL);
	if (!status && run->given & OPT_MIN) {
		snprintf(text, sizeof(text), "speed_min %" PRIu64, run->min);
		status = send(run, text, NULL);
	}
	if (!status && run->given & OPT_MAX) {
		snprintf(text, sizeof(text), "speed_max %" PRIu64, run->max);
		status = send(run, text, NULL);
	}
	if (status)
		return status;
	if (run->given & OPT_JSON) {
		begin_json(run, &j);
		json_object(&j, "set");
		json_maybe(&j, "min_kib", run->given & OPT_MIN, run->min);
		json_maybe(&j, "max_kib", run->given & OPT_MAX, run->max);
		json_end_object(&j);
		json_device(&j, "device", &run->d);
		end_json(&j);
	} else if (!(run->given & (OPT_MIN | OPT_MAX))) {
		printf("%" PRIu64 " KiB/s\n", run->d.status.rate);
		remark(run, "this is the rate; the kernel does not tell its limits");
	}
	return EXIT_OK;
}

static int run_reset_mismatches(struct run *run)
{
	int status = get_device(run);

	if (!status)
		status = need_control(run, "loading its table again resets them");
	return status ? status : send_and_finish(run, "reset_mismatches");
}

/* --- the command line --- */

static const struct command commands[] = {
	{ "list", 0, 0, run_list, "", "all integrity devices in a table" },
	{ "status", 1, 0, run_status, "DEV", "all that is known of one" },
	{ "watch", -1, OPT_INTERVAL, run_watch, "[DEV...]", "follow passes to their end" },
	{ "recalculate", 1, OPT_WAITING, run_recalculate, "DEV",
	  "make the tags, or go on making them" },
	{ "restart", 1, OPT_WAITING, run_restart, "DEV", "make all tags anew" },
	{ "pause", 1, 0, run_pause, "DEV", "pause the pass, keeping its position" },
	{ "resume", 1, OPT_WAITING, run_resume, "DEV", "let a paused or failed pass go on" },
	{ "cancel", 1, 0, run_cancel, "DEV", "end a check, or give up a recalculation" },
	{ "check", 1, OPT_START | OPT_LENGTH | OPT_PAUSE | OPT_WAITING, run_check, "DEV",
	  "compare data with tags, writing nothing" },
	{ "bad-blocks", 1, 0, run_bad_blocks, "DEV", "sectors that the last check found" },
	{ "speed", 1, OPT_MIN | OPT_MAX, run_speed, "DEV", "set limits of the pass" },
	{ "reset-mismatches", 1, 0, run_reset_mismatches, "DEV",
	  "set the count of mismatches to 0" },
};

static const struct {
	struct option option;
	const char *help;
} options[] = {
	{ { "json", no_argument, NULL, OPT_JSON },
	  "  -j, --json             JSON instead of text" },
	{ { "start", required_argument, NULL, OPT_START },
	  "  -s, --start N          check: first sector, or with K, M, G, T" },
	{ { "length", required_argument, NULL, OPT_LENGTH },
	  "  -l, --length N         check: how much, likewise" },
	{ { "wait", no_argument, NULL, OPT_WAIT },
	  "  -w, --wait             follow the pass to its end" },
	{ { "interval", required_argument, NULL, OPT_INTERVAL },
	  "  -i, --interval SECONDS between two lines of watch and --wait" },
	{ { "pause-on-signal", no_argument, NULL, OPT_PAUSE },
	  "      --pause-on-signal  check --wait: pause the check when told to end" },
	{ { "min", required_argument, NULL, OPT_MIN },
	  "      --min KIB          speed: KiB/s while there is other I/O" },
	{ { "max", required_argument, NULL, OPT_MAX },
	  "      --max KIB          speed: KiB/s at most, 0 for no limit" },
	{ { "help", no_argument, NULL, 'h' }, "  -h, --help" },
	{ { "version", no_argument, NULL, 'V' }, "  -V, --version" },
};

#define NR_COMMANDS	ARRAY_SIZE(commands)
#define NR_OPTIONS	ARRAY_SIZE(options)

static void print_help(void)
{
	size_t i;

	printf("usage: integrityctl COMMAND [DEV] [OPTION...]\n\n"
	       "Shows and controls device-mapper devices with the target integrity. DEV is a name, a\n"
	       "path, or MAJOR:MINOR.\n\n");
	for (i = 0; i < NR_COMMANDS; i++)
		printf("  %-16s %-8s  %s\n", commands[i].name, commands[i].args, commands[i].help);
	putchar('\n');
	for (i = 0; i < NR_OPTIONS; i++)
		printf("%s\n", options[i].help);
	printf("\nExit status: 0 good; 1 an error; 2 wrong usage; 3 no such device; 4 not possible\n"
	       "with the target that is loaded; 5 bad blocks; 6 pass or device failed; 7 pass paused or\n"
	       "ended before its end; 8 not now, the device is busy. See integrityctl(8).\n");
}

/* Something is wrong with the command line. The first that is counts. */
static __printf(2, 3) void wrong(struct run *run, const char *fmt, ...)
{
	va_list args;

	if (*run->wrong)
		return;
	va_start(args, fmt);
	vsnprintf(run->wrong, sizeof(run->wrong), fmt, args);
	va_end(args);
}

static void read_size(struct run *run, const char *name, uint64_t *value)
{
	if (parse_sectors(optarg, value))
		wrong(run, "--%s: '%s' is not a number of sectors, nor one with K, M, G or T", name,
		      optarg);
}

static void read_kib(struct run *run, const char *name, uint64_t *value)
{
	if (parse_number(optarg, UINT32_MAX, value))
		wrong(run, "--%s: '%s' is not a number of KiB/s from 0 to %" PRIu32, name, optarg,
		      UINT32_MAX);
}

static void read_interval(struct run *run)
{
	char *end;

	run->interval = strtod(optarg, &end);
	if (end == optarg || *end || !(run->interval >= 0.1 && run->interval <= 86400))
		wrong(run, "--interval: '%s' is not a number of seconds from 0.1 to 86400", optarg);
}

static void read_option(struct run *run, int option)
{
	switch (option) {
	case OPT_JSON:
	case OPT_WAIT:
	case OPT_PAUSE:
		break;
	case OPT_START:
		read_size(run, "start", &run->start);
		break;
	case OPT_LENGTH:
		/* What is no number is complained of first. */
		read_size(run, "length", &run->length);
		if (!run->length)
			wrong(run, "--length: nothing to check");
		break;
	case OPT_MIN:
		read_kib(run, "min", &run->min);
		break;
	case OPT_MAX:
		read_kib(run, "max", &run->max);
		break;
	case OPT_INTERVAL:
		read_interval(run);
		break;
	}
	run->given |= option;
}

static int short_option(int c)
{
	switch (c) {
	case 'j':
		return OPT_JSON;
	case 's':
		return OPT_START;
	case 'l':
		return OPT_LENGTH;
	case 'w':
		return OPT_WAIT;
	case 'i':
		return OPT_INTERVAL;
	}
	return 0;
}

static const char *option_name(unsigned int bit)
{
	size_t i;

	for (i = 0; i < NR_OPTIONS; i++)
		if (options[i].option.val == (int)bit)
			return options[i].option.name;
	return "?";
}

/* Of several letters behind one '-' only that one. */
static void wrong_option(struct run *run, const char *what, char **argv)
{
	const char letter[] = { '-', optopt, '\0' };
	bool is_letter = optopt > 0 && optopt <= 0x7f && optopt != 'h' && optopt != 'V';

	wrong(run, "option '%s' %s", is_letter ? letter : argv[optind - 1], what);
}

static void read_options(struct run *run, int argc, char **argv)
{
	struct option long_options[NR_OPTIONS + 1] = { };
	size_t i;
	int c;

	for (i = 0; i < NR_OPTIONS; i++) {
		long_options[i] = options[i].option;
		/* Values of bits meet those of letters: beyond them. */
		if (long_options[i].val != 'h' && long_options[i].val != 'V')
			long_options[i].val += 0x1000;
	}
	while ((c = getopt_long(argc, argv, ":js:l:wi:hV", long_options, NULL)) != -1) {
		switch (c) {
		case 'h':
			print_help();
			exit(EXIT_OK);
		case 'V':
			printf("integrityctl %s\n", VERSION);
			exit(EXIT_OK);
		case '?':
			wrong_option(run, "is not known", argv);
			break;
		case ':':
			wrong_option(run, "needs a value", argv);
			break;
		default:
			read_option(run, c >= 0x1000 ? c - 0x1000 : short_option(c));
		}
	}
}

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	return NULL;
}

/* Are devices and options those of the command. */
static void check_arguments(struct run *run)
{
	const struct command *c = run->command;
	unsigned int bit;

	if (c->devices >= 0 && run->nr_names < c->devices)
		wrong(run, "'%s' needs a device", c->name);
	if (c->devices >= 0 && run->nr_names > c->devices)
		wrong(run, "'%s': '%s' is too much", c->name, run->names[c->devices]);
	for (bit = 1; bit <= OPT_PAUSE; bit <<= 1)
		if (run->given & bit & ~(c->options | OPT_JSON))
			wrong(run, "'%s' has no option --%s", c->name, option_name(bit));
	if (run->given & (OPT_PAUSE | OPT_INTERVAL) && c->devices == 1 && !(run->given & OPT_WAIT))
		wrong(run, "--%s is for --wait",
		      option_name(run->given & OPT_PAUSE ? OPT_PAUSE : OPT_INTERVAL));
}

/* Wrong usage is told when all was read: then it is known whether as JSON, too. */
static int read_command_line(struct run *run, int argc, char **argv)
{
	read_options(run, argc, argv);
	if (optind < argc) {
		run->command = find_command(argv[optind]);
		run->names = argv + optind + 1;
		run->nr_names = argc - optind - 1;
		if (run->command)
			check_arguments(run);
		else
			wrong(run, "unknown command '%s'", argv[optind]);
	} else {
		wrong(run, "no command");
	}
	if (!*run->wrong)
		return EXIT_OK;
	complain(run, EXIT_USAGE, NULL, "%s", run->wrong);
	fprintf(stderr, "Try 'integrityctl --help'.\n");
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct run run = { };
	int status;

	status = read_command_line(&run, argc, argv);
	if (!status)
		status = run.command->run(&run);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "integrityctl: cannot write the output: %s\n", strerror(errno));
		return EXIT_ERROR;
	}
	return status;
}
