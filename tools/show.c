// SPDX-License-Identifier: GPL-2.0-only
/* A device as text and as JSON. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

const char *printable(const char *name, char *buf, size_t size)
{
	const unsigned char *from = (const unsigned char *)name;
	size_t i;

	for (i = 0; from[i] && i + 1 < size; i++) {
		/* In UTF-8, those from 0x80 to 0x9f are of two bytes. */
		bool second = i && from[i - 1] == 0xc2 && from[i] >= 0x80 && from[i] < 0xa0;

		buf[i] = from[i] < ' ' || from[i] == 0x7f || second ? '?' : name[i];
		if (second)
			buf[i - 1] = '?';
	}
	buf[i] = '\0';
	return buf;
}

bool device_is_read_only(const struct device *d)
{
	return d->read_only || d->table.mode == 'R';
}

bool device_has_control(const struct device *d)
{
	return d->status.have_action;
}

enum state device_state(const struct device *d)
{
	const struct status *s = &d->status;

	if (s->have_action)
		return s->state;
	/* The in-tree target works whenever something is left, it is active and may write. */
	if (!device_is_pending(d))
		return STATE_IDLE;
	if (d->suspended)
		return STATE_SUSPENDED;
	if (device_is_read_only(d))
		return STATE_FROZEN;
	return STATE_RECALCULATE;
}

const char *device_state_word(const struct device *d)
{
	static const char * const words[] = {
		[STATE_IDLE] = "idle",
		[STATE_RECALCULATE] = "recalculate",
		[STATE_FROZEN] = "frozen",
		[STATE_SUSPENDED] = "suspended",
	};

	return d->status.have_action ? d->status.action : words[device_state(d)];
}

bool device_pass(const struct device *d, uint64_t *done, uint64_t *total)
{
	const struct status *s = &d->status;

	if (s->have_pass) {
		*done = s->done;
		*total = s->total;
	} else if (!s->have_action && s->have_mark) {
		*done = s->mark;
		*total = s->provided;
	} else {
		return false;
	}
	return *total;
}

bool device_is_working(const struct device *d)
{
	enum state state = device_state(d);

	return state == STATE_RECALCULATE || state == STATE_CHECK || state == STATE_SUSPENDED;
}

bool device_is_check(const struct device *d)
{
	const struct status *s = &d->status;
	uint64_t done, total;

	if (s->state == STATE_CHECK)
		return true;
	if (!s->have_action || s->state == STATE_RECALCULATE || !device_pass(d, &done, &total) ||
	    done >= total)
		return false;
	return !s->have_mark || done != s->mark || total != s->provided;
}

bool device_is_pending(const struct device *d)
{
	return d->status.have_mark && d->status.mark < d->status.provided;
}

bool device_frozen_for_nothing(const struct device *d)
{
	return device_state(d) == STATE_FROZEN && !device_is_check(d) && !device_is_pending(d);
}

double percent(uint64_t done, uint64_t total)
{
	if (done >= total)
		return 100;
	return (uint64_t)(1000.0L * done / total) / 10.0;
}

const char *size_text(uint64_t sectors, char *buf, size_t size)
{
	static const char * const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = sectors / 2.0;
	unsigned int i;

	for (i = 0; value >= 1023.95 && i < 5; i++)
		value /= 1024;
	snprintf(buf, size, "%.1f %s", value, units[i]);
	return buf;
}

/* --- text --- */

enum column { NAME, MODE, HASH, SIZE, STATE, PROGRESS, MISMATCHES, COLUMNS };

struct row {
	char text[COLUMNS][256];
};

static void fill_row(struct row *row, const struct device *d)
{
	uint64_t done, total;

	printable(d->name, row->text[NAME], sizeof(row->text[NAME]));
	snprintf(row->text[MODE], sizeof(row->text[MODE]), "%c", d->table.mode);
	printable(*d->table.hash ? d->table.hash : "-", row->text[HASH], sizeof(row->text[HASH]));
	size_text(d->length, row->text[SIZE], sizeof(row->text[SIZE]));
	printable(device_state_word(d), row->text[STATE], sizeof(row->text[STATE]));
	if (device_pass(d, &done, &total))
		snprintf(row->text[PROGRESS], sizeof(row->text[PROGRESS]), "%.1f%%",
			 percent(done, total));
	else
		snprintf(row->text[PROGRESS], sizeof(row->text[PROGRESS]), "-");
	snprintf(row->text[MISMATCHES], sizeof(row->text[MISMATCHES]), "%" PRIu64,
		 d->status.mismatches);
}

void show_list(const struct device *list, size_t count)
{
	static const struct row head = { {
		"NAME", "MODE", "HASH", "SIZE", "STATE", "PROGRESS", "MISMATCHES"
	} };
	struct row *rows = calloc(count + 1, sizeof(*rows));
	int width[COLUMNS] = { };
	size_t i;
	int c;

	if (!rows) {
		fprintf(stderr, "integrityctl: no memory\n");
		exit(EXIT_ERROR);
	}
	rows[0] = head;
	for (i = 0; i < count; i++)
		fill_row(&rows[i + 1], &list[i]);
	for (i = 0; i <= count; i++)
		for (c = 0; c < COLUMNS; c++)
			if ((int)strlen(rows[i].text[c]) > width[c])
				width[c] = strlen(rows[i].text[c]);
	for (i = 0; i <= count; i++) {
		for (c = 0; c < COLUMNS; c++) {
			bool right = c == SIZE || c >= PROGRESS;

			printf("%s%*s", c ? "  " : "", right ? width[c] : -width[c],
			       rows[i].text[c]);
		}
		putchar('\n');
	}
	free(rows);
}

static __printf(2, 3) void line(const char *label, const char *fmt, ...)
{
	va_list args;

	printf("%-15s ", label);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

static const char *mode_name(char mode)
{
	switch (mode) {
	case 'D':
		return "direct";
	case 'J':
		return "journal";
	case 'B':
		return "bitmap";
	case 'I':
		return "inline";
	case 'R':
		return "recovery";
	default:
		return "unknown";
	}
}

static const char *recalculation_word(const struct device *d)
{
	if (!d->status.have_mark)
		return "none";
	return device_is_pending(d) ? "pending" : "complete";
}

static void show_pass(const struct device *d)
{
	const struct status *s = &d->status;
	uint64_t done, total;

	if (device_pass(d, &done, &total))
		line("progress", "%.1f%%, %" PRIu64 " of %" PRIu64 " sectors", percent(done, total),
		     done, total);
	if (s->have_rate && s->rate)
		line("rate", "%" PRIu64 " KiB/s", s->rate);
	if (s->have_bad) {
		if (s->have_first_bad)
			line("bad blocks", "%" PRIu64 ", the first at sector %" PRIu64, s->bad,
			     s->first_bad);
		else
			line("bad blocks", "%" PRIu64, s->bad);
	}
}

void show_status(const struct device *d)
{
	const struct status *s = &d->status;
	const struct table *t = &d->table;
	char buf[300];

	line("name", "%s", printable(d->name, buf, sizeof(buf)));
	line("device", "%u:%u%s%s", d->major, d->minor, d->read_only ? ", read-only" : "",
	     d->suspended ? ", suspended" : "");
	line("target", "integrity %u.%u.%u%s", d->version[0], d->version[1], d->version[2],
	     device_has_control(d) ? "" : ", without messages and further status");
	line("mode", "%c (%s)", t->mode, mode_name(t->mode));
	line("hash", "%s%s, tags of %u bytes", *t->hash ? printable(t->hash, buf, sizeof(buf)) :
	     "none (tags of an upper layer)", t->keyed ? " with a key" : "", t->tag_size);
	line("block size", "%u", t->block_size);
	line("data on", "%s", printable(t->device, buf, sizeof(buf)));
	line("tags on", "%s", *t->meta_device ? printable(t->meta_device, buf, sizeof(buf)) :
	     "the same device");
	line("size", "%s, %" PRIu64 " sectors", size_text(d->length, buf, sizeof(buf)), d->length);
	line("recalculation", "%s", recalculation_word(d));
	line("state", "%s", printable(device_state_word(d), buf, sizeof(buf)));
	show_pass(d);
	line("mismatches", "%" PRIu64, s->mismatches);
	if (s->have_lost && s->lost)
		line("journal lost", "%" PRIu64 " entries", s->lost);
	if (!device_has_control(d))
		line("not told", "%s", "rate, bad blocks, whether the device failed");
}

/* --- JSON --- */

static void json_pass(struct json *j, const struct device *d)
{
	const struct status *s = &d->status;
	uint64_t done, total;

	if (!device_pass(d, &done, &total)) {
		json_null(j, "pass");
		return;
	}
	json_object(j, "pass");
	json_number(j, "done_sectors", done);
	json_number(j, "total_sectors", total);
	json_real(j, "percent", percent(done, total), 1);
	json_maybe(j, "rate_kib", s->have_rate, s->rate);
	json_maybe(j, "seconds_left", s->have_rate && s->rate && done <= total,
		   s->rate && done <= total ? (total - done) / 2 / s->rate : 0);
	json_maybe(j, "bad_blocks", s->have_bad, s->bad);
	json_maybe(j, "first_bad_sector", s->have_first_bad, s->first_bad);
	json_end_object(j);
}

void json_device(struct json *j, const char *key, const struct device *d)
{
	const struct table *t = &d->table;
	const struct status *s = &d->status;
	const char letter[] = { t->mode, '\0' };
	char text[64];

	json_object(j, key);
	json_string(j, "name", d->name);
	snprintf(text, sizeof(text), "%u:%u", d->major, d->minor);
	json_string(j, "device", text);
	json_string(j, "uuid", *d->uuid ? d->uuid : NULL);
	snprintf(text, sizeof(text), "%u.%u.%u", d->version[0], d->version[1], d->version[2]);
	json_string(j, "target_version", text);
	json_bool(j, "has_control", device_has_control(d));
	json_bool(j, "read_only", d->read_only);
	json_bool(j, "suspended", d->suspended);
	json_string(j, "mode", letter);
	json_string(j, "hash", *t->hash ? t->hash : NULL);
	json_bool(j, "keyed", t->keyed);
	json_number(j, "tag_size", t->tag_size);
	json_number(j, "block_size", t->block_size);
	json_string(j, "data_device", t->device);
	json_string(j, "meta_device", *t->meta_device ? t->meta_device : NULL);
	json_number(j, "size_sectors", d->length);
	json_number(j, "provided_sectors", s->provided);
	json_number(j, "mismatches", s->mismatches);
	json_string(j, "recalculation", recalculation_word(d));
	json_maybe(j, "recalculated_sectors", s->have_mark, s->mark);
	json_string(j, "state", device_state_word(d));
	json_pass(j, d);
	json_maybe(j, "lost_journal_entries", s->have_lost, s->lost);
	json_array(j, "not_told");
	if (!device_has_control(d)) {
		json_string(j, NULL, "rate");
		json_string(j, NULL, "bad_blocks");
		json_string(j, NULL, "failed");
	}
	json_end_array(j);
	json_end_object(j);
}
