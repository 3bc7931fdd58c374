// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device-mapper and the kernel's log.
 *
 * Tables may contain keys: tasks that read one tell libdevmapper to wipe its buffers, and only
 * what parse_table() takes out of the line is kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <libdevmapper.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ctl.h"

/* libdevmapper prints its errors itself, unless it is given something else to do with them. */
static __printf(5, 6)
void no_log(int level, const char *file, int line, int error, const char *fmt, ...)
{
	(void)level;
	(void)file;
	(void)line;
	(void)error;
	(void)fmt;
}

static struct dm_task *new_task(int type)
{
	static bool quiet;
	struct dm_task *task;

	if (!quiet) {
		dm_log_with_errno_init(no_log);
		quiet = true;
	}
	task = dm_task_create(type);
	if (task) {
		dm_task_no_open_count(task);
		dm_task_no_flush(task);
	}
	return task;
}

/* Why there is no new_task(): the library asks for device-mapper's version first. */
static int no_task(void)
{
	return geteuid() ? -EPERM : -ENOMAPPER;
}

static int run_task(struct dm_task *task)
{
	int error;

	errno = 0;
	if (dm_task_run(task))
		return 0;
	error = dm_task_get_errno(task);
	if (!error)
		error = geteuid() ? EPERM : errno ? errno : EIO;
	return -error;
}

/* Asked by number, a device that is not there has no name to be found by. */
static int run_look(struct dm_task *task)
{
	int r = run_task(task);

	return r == -ENODEV ? -ENODEVICE : r;
}

/* --- one device --- */

/* How to name a device to the kernel: by @name, or by number when that is NULL. */
struct address {
	const char *name;
	unsigned int major;
	unsigned int minor;
};

static int resolve(const char *name, struct address *a)
{
	static const char mapper[] = "/dev/mapper/";
	struct stat st;
	char rest;

	*a = (struct address) { };
	if (sscanf(name, "%u:%u%c", &a->major, &a->minor, &rest) == 2)
		return 0;
	if (!strchr(name, '/')) {
		a->name = name;
		return *name ? 0 : -ENODEVICE;
	}
	if (!stat(name, &st) && S_ISBLK(st.st_mode)) {
		a->major = major(st.st_rdev);
		a->minor = minor(st.st_rdev);
		return 0;
	}
	if (!strncmp(name, mapper, strlen(mapper)) && name[strlen(mapper)]) {
		a->name = name + strlen(mapper);
		return 0;
	}
	return -ENODEVICE;
}

static int address_task(struct dm_task *task, const struct address *a)
{
	int good = a->name ? dm_task_set_name(task, a->name) :
		   dm_task_set_major_minor(task, a->major, a->minor, 0);

	return good ? 0 : -ENODEVICE;
}

/* Of a device that was looked at: its number stays when its name changes. */
static struct address address_of(const struct device *d)
{
	return (struct address) { .major = d->major, .minor = d->minor };
}

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

/* The first target of what a task found; fails when it is not ours. */
static int target_of(struct dm_task *task, uint64_t *length, char **params)
{
	uint64_t start;
	char *type = NULL;

	dm_get_next_target(task, NULL, &start, length, &type, params);
	if (!type || strcmp(type, "integrity") || !*params)
		return -ENOTINTEGRITY;
	return 0;
}

static int read_status(const struct address *a, struct device *d)
{
	struct dm_task *task = new_task(DM_DEVICE_STATUS);
	struct dm_info info;
	char *params;
	int r;

	if (!task)
		return no_task();
	r = address_task(task, a);
	if (!r)
		r = run_look(task);
	if (!r && (!dm_task_get_info(task, &info) || !info.exists))
		r = -ENODEVICE;
	if (!r)
		r = target_of(task, &d->length, &params);
	if (!r && parse_status(params, &d->status))
		r = -EBADMSG;
	if (!r) {
		copy(d->name, sizeof(d->name), dm_task_get_name(task));
		copy(d->uuid, sizeof(d->uuid), dm_task_get_uuid(task));
		d->major = info.major;
		d->minor = info.minor;
		d->suspended = info.suspended;
		d->read_only = info.read_only;
		d->events = info.event_nr;
	}
	dm_task_destroy(task);
	return r;
}

static int read_table(struct device *d)
{
	struct dm_task *task = new_task(DM_DEVICE_TABLE);
	const struct address a = address_of(d);
	uint64_t length;
	char *params;
	int r;

	if (!task)
		return no_task();
	dm_task_secure_data(task);
	r = address_task(task, &a);
	if (!r)
		r = run_look(task);
	if (!r)
		r = target_of(task, &length, &params);
	if (!r) {
		if (parse_table(params, &d->table))
			r = -EBADMSG;
		explicit_bzero(params, strlen(params));
	}
	dm_task_destroy(task);
	return r;
}

/* The version that the target of that name has; unknown is no error. */
static void read_version(unsigned int version[3])
{
	struct dm_task *task = new_task(DM_DEVICE_LIST_VERSIONS);
	struct dm_versions *v;

	memset(version, 0, 3 * sizeof(*version));
	if (!task)
		return;
	if (!run_task(task)) {
		for (v = dm_task_get_versions(task); v; v = v->next ? (void *)v + v->next : NULL) {
			if (!strcmp(v->name, "integrity")) {
				version[0] = v->version[0];
				version[1] = v->version[1];
				version[2] = v->version[2];
			}
		}
	}
	dm_task_destroy(task);
}

static int read_device(const struct address *a, struct device *d)
{
	struct device new = { };
	int r;

	r = read_status(a, &new);
	if (!r)
		r = read_table(&new);
	if (!r) {
		read_version(new.version);
		*d = new;
	}
	return r;
}

static int get_named(const char *name, struct device *d)
{
	struct address a;
	int r;

	r = resolve(name, &a);
	return r ? r : read_device(&a, d);
}

int device_get(const char *name, struct device *d)
{
	char plain[256];
	int r = get_named(name, d);

	/* The name of a unit's instance; a device may be called so, too. */
	if (r == -ENODEVICE && parse_escaped(name, plain, sizeof(plain)))
		r = get_named(plain, d);
	return r;
}

/* A number may have gone to another device meanwhile. Without a UUID, a name may change, too. */
static bool is_same(const struct device *d, const struct device *new)
{
	if (*d->uuid)
		return !strcmp(d->uuid, new->uuid);
	return !strcmp(d->name, new->name) || !strcmp(d->table.device, new->table.device);
}

int device_refresh(struct device *d)
{
	const struct address a = address_of(d);
	struct device new;
	int r;

	r = read_device(&a, &new);
	if (!r && !is_same(d, &new))
		r = -ENODEVICE;
	if (!r)
		*d = new;
	return r;
}

/* --- all devices --- */

/* Those that could not be looked at come last. */
static int by_name(const void *a, const void *b)
{
	const struct device *x = a, *y = b;

	if (!x->error != !y->error)
		return x->error ? 1 : -1;
	return strcmp(x->name, y->name);
}

static int add_device(struct device **list, size_t *count, const struct device *d)
{
	struct device *more = reallocarray(*list, *count + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	more[(*count)++] = *d;
	*list = more;
	return 0;
}

static int add_named(struct dm_task *task, struct device **list, size_t *count, size_t *strange)
{
	struct dm_names *n = dm_task_get_names(task);
	int r;

	if (!n || !n->dev)
		return 0;
	for (;; n = (void *)n + n->next) {
		struct address a = { .major = major(n->dev), .minor = minor(n->dev) };
		struct device d = { };

		d.error = read_device(&a, &d);
		/* It may have gone meanwhile. */
		if (d.error != -ENOTINTEGRITY && d.error != -ENODEVICE) {
			if (d.error) {
				copy(d.name, sizeof(d.name), n->name);
				(*strange)++;
			}
			r = add_device(list, count, &d);
			if (r)
				return r;
		}
		if (!n->next)
			return 0;
	}
}

int device_list(struct device **list, size_t *count, size_t *strange)
{
	struct dm_task *task = new_task(DM_DEVICE_LIST);
	int r;

	*list = NULL;
	*count = 0;
	*strange = 0;
	if (!task)
		return no_task();
	r = run_task(task);
	if (!r)
		r = add_named(task, list, count, strange);
	dm_task_destroy(task);
	if (r) {
		free(*list);
		*list = NULL;
		*count = 0;
		*strange = 0;
		return r;
	}
	if (*count)
		qsort(*list, *count, sizeof(**list), by_name);
	*count -= *strange;
	return 0;
}

/* --- messages --- */

/* The kernel's log from now on; -1 when it cannot be read, which only costs the reason. */
static int open_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* The first that was said of the device since open_log(): what comes behind it is less exact. */
static void read_log(int fd, const struct device *d, char *reason, size_t size)
{
	char record[8192];
	ssize_t got;

	if (fd < 0)
		return;
	for (;;) {
		got = read(fd, record, sizeof(record) - 1);
		/* Records were lost before we came to them. */
		if (got < 0 && errno == EPIPE)
			continue;
		if (got <= 0)
			return;
		record[got] = '\0';
		if (kernel_reason(record, d->minor, reason, size))
			return;
	}
}

int device_message(const struct device *d, const char *text, char **reply, char *reason,
		   size_t size)
{
	struct dm_task *task = new_task(DM_DEVICE_TARGET_MSG);
	const struct address a = address_of(d);
	const char *answer;
	int r, log;

	*reason = '\0';
	if (reply)
		*reply = NULL;
	if (!task)
		return no_task();
	log = open_log();
	if (address_task(task, &a) || !dm_task_set_sector(task, 0) ||
	    !dm_task_set_message(task, text))
		r = -ENOMEM;
	else
		r = run_task(task);
	if (r) {
		read_log(log, d, reason, size);
	} else if (reply) {
		answer = dm_task_get_message_response(task);
		if (answer) {
			*reply = strdup(answer);
			if (!*reply)
				r = -ENOMEM;
		}
	}
	if (log >= 0)
		close(log);
	dm_task_destroy(task);
	return r;
}

const char *device_error(int error)
{
	switch (error) {
	case -ENODEVICE:
		return "no such device";
	case -ENOTINTEGRITY:
		return "the device has no integrity target";
	case -EBADMSG:
		return "its status or table makes no sense";
	case -ENOMAPPER:
		return "there is no device-mapper in this kernel, or no /dev/mapper/control";
	case -EPERM:
	case -EACCES:
		return "device-mapper needs root's rights";
	default:
		return strerror(-error);
	}
}
