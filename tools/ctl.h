/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * integrityctl: what its files share.
 *
 *	integrityctl.c	commands and their options
 *	device.c	device-mapper and the kernel's log; the only file that calls libdevmapper
 *	show.c		a device as text and as JSON
 *	watch.c		following passes to their end
 *	json.c		writing JSON
 *	parse.c		words of the kernel and of the command line
 */
#ifndef INTEGRITYCTL_CTL_H
#define INTEGRITYCTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define __printf(a, b)		__attribute__((__format__(__printf__, a, b)))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))

#include "json.h"
#include "parse.h"

/* Exit statuses; integrityctl(8) lists them. */
enum {
	EXIT_OK = 0,
	EXIT_ERROR = 1,		/* the kernel refused, or could not be asked */
	EXIT_USAGE = 2,
	EXIT_NO_DEVICE = 3,	/* none of that name, or none with an integrity target */
	EXIT_UNSUPPORTED = 4,	/* the target that is loaded cannot do that */
	EXIT_BAD_BLOCKS = 5,	/* the pass ended, or the list is told, with bad blocks */
	EXIT_FAILED = 6,	/* the pass or the device failed */
	EXIT_STOPPED = 7,	/* the pass is paused or was ended before its end */
	EXIT_BUSY = 8,		/* refused while another pass is under way, or suspended */
};

/* --- device.c --- */

struct device {
	int error;			/* of device_list(): then there is a name and no more */
	char name[256];
	char uuid[256];
	unsigned int major;
	unsigned int minor;
	bool suspended;
	bool read_only;
	uint32_t events;		/* of the device so far; the number wraps */
	unsigned int version[3];	/* of the target; 0.0.0 when not known */
	uint64_t length;		/* sectors of the mapped device */
	struct status status;
	struct table table;
};

/* No device of that name. */
#define ENODEVICE	ENXIO
/* There is one, but its target is another one, or it has none. */
#define ENOTINTEGRITY	EMEDIUMTYPE
/* The kernel's device-mapper cannot be asked. */
#define ENOMAPPER	ENOPKG

/**
 * device_get - look at one device
 * @name: name, path, or MAJOR:MINOR; where there is none, the same with \xNN decoded
 * @d: receives what is found
 *
 * Return: 0, -ENODEVICE, -ENOTINTEGRITY, -EBADMSG when what the kernel says makes no sense, or
 * another error.
 */
int device_get(const char *name, struct device *d);

/*
 * Look at a device again, also when it was renamed meanwhile. Returns as device_get(); @d is as it
 * was on error.
 */
int device_refresh(struct device *d);

/**
 * device_list - look at all devices with an integrity target
 * @list: receives them, sorted by name; to be freed
 * @count: receives how many they are
 * @strange: receives how many could not be looked at; these come behind the others in @list
 *
 * Return: 0 or an error; @list is NULL then, but may be so as well when there are none.
 */
int device_list(struct device **list, size_t *count, size_t *strange);

/**
 * device_message - send a message
 * @d: device
 * @text: message
 * @reply: receives what the target answered, to be freed, or NULL; may be NULL itself
 * @reason: receives, when it is refused, what the kernel's log says about that, or ""
 * @size: bytes at @reason
 *
 * Return: 0 or an error.
 */
int device_message(const struct device *d, const char *text, char **reply, char *reason,
		   size_t size);

/* A sentence on an error of the functions above. */
const char *device_error(int error);

/* --- show.c --- */

/* Does the target tell and take more than that of the Linux tree. */
bool device_has_control(const struct device *d);

/* Does it write nothing. It may be that a device below does not let it, either. */
bool device_is_read_only(const struct device *d);

/* What the device does: as told, or as far as the three fields of the in-tree target show it. */
enum state device_state(const struct device *d);

/* The word for it. */
const char *device_state_word(const struct device *d);

/* Has it a pass that goes on, now or with the device. */
bool device_is_working(const struct device *d);

/*
 * Is the pass that runs, is paused or failed a check. A paused one is a check when its numbers are
 * not those of the recalculation. One that has come to its end may leave a recalculation paused.
 */
bool device_is_check(const struct device *d);

/* Have some blocks no tag yet. */
bool device_is_pending(const struct device *d);

/* Nothing is paused, but the next recalculation would be: a pass has ended before it could be. */
bool device_frozen_for_nothing(const struct device *d);

/* The pass in sectors, false when there is none. */
bool device_pass(const struct device *d, uint64_t *done, uint64_t *total);

/* Percent with one decimal, rounded down: 100 means all. */
double percent(uint64_t done, uint64_t total);

/* @text without control characters, which no terminal or log gets of a name; returns @buf. */
const char *printable(const char *text, char *buf, size_t size);

/* A size of so many sectors, for people. */
const char *size_text(uint64_t sectors, char *buf, size_t size);

void show_list(const struct device *list, size_t count);
void show_status(const struct device *d);

/* The device as a member @key of the object that is open, or an element of the array. */
void json_device(struct json *j, const char *key, const struct device *d);

/* --- watch.c --- */

struct watch_options {
	bool json;
	double interval;	/* seconds between two lines or pictures; 0 for the default */
	bool pause_on_signal;	/* a check is paused when we are told to end */
	bool tell_last;		/* where no pass is seen at work, how the last one ended counts */
	enum state begun;	/* the pass that the command let run, or STATE_IDLE for none */
};

/*
 * From now on signals that tell us to end do so in watch() only, also those that come before. It
 * calls this itself. Those that were ignored when we were started still are.
 */
void catch_signals(void);

/* The exit status for the signal that was caught, or 0. */
int signal_status(void);

/* Of two exit statuses the worse. */
int worse(int a, int b);

/* Follow the devices to the end of their passes. Returns the exit status, or -ENOMEM. */
int watch(const struct device *list, size_t count, const struct watch_options *opt);

#endif
