// SPDX-License-Identifier: GPL-2.0-only
/*
 * A libdevmapper without a kernel, so that integrityctl as a whole runs under sanitizers and meets
 * what no kernel here says. Only what integrityctl uses of the library.
 *
 * Devices are files in the folder $FAKE_DM, which is locked (flock) while a task runs:
 *
 *	NAME.info		MINOR SUSPENDED READ_ONLY TARGET LENGTH
 *	NAME.uuid		may be missing
 *	NAME.table		the table line
 *	NAME.status		status lines; each look takes the next, the last one stays
 *	NAME.after.WORD		status lines that take their place after the message WORD
 *	NAME.reply.WORD		what the message WORD answers
 *	NAME.refuse.WORD	the number of the error that the message WORD meets
 *	NAME.delay.WORD		seconds that the message WORD takes, whatever signals come
 *	NAME.messages		written: the messages that came, a line each
 *	denied			if it exists, /dev/mapper/control cannot be opened, by the user whose
 *				number is in it
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libdevmapper.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MAJOR	254

struct dm_task {
	int type;
	char name[256];
	char *uuid;
	int minor;
	int error;
	char *message;
	char *reply;
	char target[32];
	uint64_t length;
	char *params;
	struct dm_info info;
	struct dm_names *names;
	struct dm_versions *versions;
};

static FILE *open_file(const char *name, const char *suffix, const char *mode)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s%s", getenv("FAKE_DM"), name, suffix);
	return fopen(path, mode);
}

/* A whole file, or NULL. */
static char *read_file(const char *name, const char *suffix)
{
	FILE *f = open_file(name, suffix, "r");
	char *text = NULL;
	size_t size = 0;
	ssize_t got;

	if (!f)
		return NULL;
	got = getdelim(&text, &size, '\0', f);
	fclose(f);
	if (got < 0) {
		free(text);
		return strdup("");
	}
	return text;
}

static void write_file(const char *name, const char *suffix, const char *mode, const char *text)
{
	FILE *f = open_file(name, suffix, mode);

	if (!f || fputs(text, f) < 0 || fclose(f))
		abort();
}

static bool read_info(const char *name, struct dm_info *info, char target[32], uint64_t *length)
{
	FILE *f = open_file(name, ".info", "r");
	int n;

	memset(info, 0, sizeof(*info));
	if (!f)
		return false;
	n = fscanf(f, "%u %d %d %31s %" SCNu64, &info->minor, &info->suspended, &info->read_only,
		   target, length);
	fclose(f);
	info->exists = n == 5;
	info->major = MAJOR;
	return info->exists;
}

/* --- a task --- */

void dm_log_with_errno_init(dm_log_with_errno_fn fn)
{
	(void)fn;
}

/* The user who is refused, or -1. */
static int denied(void)
{
	char *text = read_file("denied", "");
	int user = text ? atoi(text) : -1;

	free(text);
	return user;
}

/* The C library's gives way to this one. */
uid_t geteuid(void)
{
	return denied() > 0 ? denied() : 0;
}

/* The library asks for the version of device-mapper before the first task. */
struct dm_task *dm_task_create(int type)
{
	struct dm_task *t;

	if (denied() >= 0)
		return NULL;
	t = calloc(1, sizeof(*t));
	t->type = type;
	t->minor = -1;
	return t;
}

void dm_task_destroy(struct dm_task *t)
{
	free(t->uuid);
	free(t->message);
	free(t->reply);
	free(t->params);
	free(t->names);
	free(t->versions);
	free(t);
}

int dm_task_set_name(struct dm_task *t, const char *name)
{
	if (strlen(name) >= 128)
		return 0;
	snprintf(t->name, sizeof(t->name), "%s", name);
	return 1;
}

int dm_task_set_major_minor(struct dm_task *t, int major, int minor, int fallback)
{
	(void)fallback;
	t->minor = major == MAJOR ? minor : INT_MAX;
	return 1;
}

int dm_task_set_message(struct dm_task *t, const char *message)
{
	t->message = strdup(message);
	return 1;
}

int dm_task_set_sector(struct dm_task *t, uint64_t sector)
{
	(void)t;
	return sector == 0;
}

int dm_task_no_flush(struct dm_task *t)
{
	(void)t;
	return 1;
}

int dm_task_no_open_count(struct dm_task *t)
{
	(void)t;
	return 1;
}

int dm_task_secure_data(struct dm_task *t)
{
	(void)t;
	return 1;
}

static int fail(struct dm_task *t, int error)
{
	t->error = error;
	return 0;
}

/* Calls @found for each device, until it says true. */
static bool each_device(bool (*found)(struct dm_task *t, const char *name, unsigned int minor),
			struct dm_task *t)
{
	DIR *dir = opendir(getenv("FAKE_DM"));
	struct dirent *e;
	struct dm_info info;
	char name[300], target[32];
	bool done = false;
	uint64_t length;
	size_t len;

	if (!dir)
		abort();
	while (!done && (e = readdir(dir))) {
		len = strlen(e->d_name);
		if (len <= 5 || strcmp(e->d_name + len - 5, ".info"))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)len - 5, e->d_name);
		if (read_info(name, &info, target, &length))
			done = found(t, name, info.minor);
	}
	closedir(dir);
	return done;
}

static bool has_minor(struct dm_task *t, const char *name, unsigned int minor)
{
	if ((int)minor != t->minor)
		return false;
	dm_task_set_name(t, name);
	return true;
}

static bool add_name(struct dm_task *t, const char *name, unsigned int minor)
{
	struct dm_names *n = t->names;

	while (n->next)
		n = (void *)n + n->next;
	if (n->dev) {
		n->next = sizeof(*n) + 304;
		n = (void *)n + n->next;
	}
	n->dev = makedev(MAJOR, minor);
	strcpy(n->name, name);
	return false;
}

/* The first of the status lines, which goes unless it is the last. */
static char *take_line(const char *name)
{
	char *text = read_file(name, ".status"), *end = text ? strchr(text, '\n') : NULL;

	if (end && end[1]) {
		write_file(name, ".status", "w", end + 1);
		end[1] = '\0';
	}
	if (end)
		*end = '\0';
	return text;
}

/* What is in the file of that KIND for the message, or NULL. */
static char *read_answer(const struct dm_task *t, const char *kind)
{
	char suffix[100];

	snprintf(suffix, sizeof(suffix), ".%s.%.*s", kind, (int)strcspn(t->message, " "), t->message);
	return read_file(t->name, suffix);
}

static int run_message(struct dm_task *t)
{
	char *text;
	int left, error;

	write_file(t->name, ".messages", "a", t->message);
	write_file(t->name, ".messages", "a", "\n");
	text = read_answer(t, "delay");
	for (left = text ? atoi(text) : 0; left;)
		left = sleep(left);
	free(text);
	text = read_answer(t, "refuse");
	if (text) {
		error = atoi(text);
		free(text);
		return fail(t, error);
	}
	t->reply = read_answer(t, "reply");
	text = read_answer(t, "after");
	if (text)
		write_file(t->name, ".status", "w", text);
	free(text);
	return 1;
}

static int run(struct dm_task *t)
{
	if (t->type == DM_DEVICE_LIST) {
		t->names = calloc(50, sizeof(*t->names) + 304);
		each_device(add_name, t);
		return 1;
	}
	if (t->type == DM_DEVICE_LIST_VERSIONS) {
		t->versions = calloc(1, sizeof(*t->versions) + 32);
		memcpy(t->versions->version, (uint32_t[]){ 1, 2, 0 }, 12);
		strcpy(t->versions->name, "integrity");
		return 1;
	}
	if (t->minor >= 0 && !each_device(has_minor, t))
		return fail(t, ENXIO);
	if (!read_info(t->name, &t->info, t->target, &t->length))
		return fail(t, ENXIO);
	t->uuid = read_file(t->name, ".uuid");
	switch (t->type) {
	case DM_DEVICE_STATUS:
		t->params = take_line(t->name);
		return 1;
	case DM_DEVICE_TABLE:
		t->params = read_file(t->name, ".table");
		return 1;
	case DM_DEVICE_TARGET_MSG:
		return run_message(t);
	}
	abort();
}

int dm_task_run(struct dm_task *t)
{
	int folder = open(getenv("FAKE_DM"), O_RDONLY | O_CLOEXEC), good;

	if (folder < 0 || flock(folder, LOCK_EX))
		abort();
	good = run(t);
	close(folder);
	return good;
}

/* --- what it found --- */

int dm_task_get_errno(struct dm_task *t)
{
	return t->error;
}

int dm_task_get_info(struct dm_task *t, struct dm_info *info)
{
	*info = t->info;
	return 1;
}

const char *dm_task_get_name(const struct dm_task *t)
{
	return t->name;
}

const char *dm_task_get_uuid(const struct dm_task *t)
{
	return t->uuid ? t->uuid : "";
}

struct dm_names *dm_task_get_names(struct dm_task *t)
{
	return t->names;
}

struct dm_versions *dm_task_get_versions(struct dm_task *t)
{
	return t->versions;
}

const char *dm_task_get_message_response(struct dm_task *t)
{
	return t->reply;
}

void *dm_get_next_target(struct dm_task *t, void *next, uint64_t *start, uint64_t *length,
			 char **target, char **params)
{
	(void)next;
	*start = 0;
	*length = t->length;
	*target = t->target;
	*params = t->params;
	return NULL;
}
