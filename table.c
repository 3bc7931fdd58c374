// SPDX-License-Identifier: GPL-2.0-only
/*
 * The words of the interface: table line and messages to structs, structs to table, status and
 * IMA text.
 *
 * The syntax is described in Documentation/on-disk-format.rst, section 8. Two rules hold
 * throughout: a word is known exactly or refused by its name, and nothing that follows the name
 * of an algorithm gets into an error text, because it may be a key and error texts end in the
 * log.
 */
#include "format.h"
#include "table.h"

#define DEFAULT_INTERLEAVE_SECTORS	32768
#define DEFAULT_BUFFER_SECTORS		128
#define DEFAULT_JOURNAL_WATERMARK	50
#define DEFAULT_COMMIT_TIME		10000
#define DEFAULT_BLOCK_SIZE		512
#define DEFAULT_SECTORS_PER_BIT		32768
#define DEFAULT_BITMAP_FLUSH_INTERVAL	10000

/* More of a word is not repeated to the user. */
#define QUOTED_MAX			40

/*
 * Length of what may be quoted of @word: as far as the first colon, behind which there may be a
 * key, or the first character that is none to print.
 */
static int quoted_len(const char *word)
{
	int len;

	for (len = 0; len < QUOTED_MAX; len++)
		if (word[len] < ' ' || word[len] > '~' || word[len] == ':')
			break;
	return len;
}

/*
 * A decimal number: digits and nothing else. kstrtoull() alone would take a plus sign, and a
 * newline at the end.
 */
static int parse_number(const char *s, u64 max, u64 *value)
{
	unsigned long long v;
	const char *c;

	for (c = s; *c; c++)
		if (*c < '0' || *c > '9')
			return -EINVAL;
	if (kstrtoull(s, 10, &v) || v > max)
		return -EINVAL;
	*value = v;
	return 0;
}

/* --- table line --- */

enum opt_kind {
	OPT_FLAG,	/* NAME */
	OPT_NUMBER,	/* NAME:N */
	OPT_STRING,	/* NAME:WORD */
	OPT_ALG,	/* NAME:ALG or NAME:ALG:HEXKEY */
};

enum opt_id {
	OPT_JOURNAL_SECTORS,
	OPT_INTERLEAVE_SECTORS,
	OPT_BUFFER_SECTORS,
	OPT_JOURNAL_WATERMARK,
	OPT_COMMIT_TIME,
	OPT_META_DEVICE,
	OPT_BLOCK_SIZE,
	OPT_SECTORS_PER_BIT,
	OPT_BITMAP_FLUSH_INTERVAL,
	OPT_INTERNAL_HASH,
	OPT_JOURNAL_CRYPT,
	OPT_JOURNAL_MAC,
	OPT_RECALCULATE,
	OPT_RESET_RECALCULATE,
	OPT_NO_RECALCULATE,
	OPT_LEGACY_RECALCULATE,
	OPT_ALLOW_DISCARDS,
	OPT_ALLOW_DISCARDS_KEYED,
	OPT_FIX_PADDING,
	OPT_FIX_HMAC,
};

static const struct opt {
	const char *name;
	enum opt_kind kind;
	u64 max; /* of a number; what else is wrong with it is checked where it is stored */
} opts[] = {
	[OPT_JOURNAL_SECTORS] = { "journal_sectors", OPT_NUMBER, U32_MAX },
	[OPT_INTERLEAVE_SECTORS] = { "interleave_sectors", OPT_NUMBER, U32_MAX },
	[OPT_BUFFER_SECTORS] = { "buffer_sectors", OPT_NUMBER, U32_MAX },
	[OPT_JOURNAL_WATERMARK] = { "journal_watermark", OPT_NUMBER, 100 },
	[OPT_COMMIT_TIME] = { "commit_time", OPT_NUMBER, U32_MAX },
	[OPT_META_DEVICE] = { "meta_device", OPT_STRING, 0 },
	[OPT_BLOCK_SIZE] = { "block_size", OPT_NUMBER, 4096 },
	[OPT_SECTORS_PER_BIT] = { "sectors_per_bit", OPT_NUMBER, U64_MAX },
	[OPT_BITMAP_FLUSH_INTERVAL] = { "bitmap_flush_interval", OPT_NUMBER, U32_MAX - 1 },
	[OPT_INTERNAL_HASH] = { "internal_hash", OPT_ALG, 0 },
	[OPT_JOURNAL_CRYPT] = { "journal_crypt", OPT_ALG, 0 },
	[OPT_JOURNAL_MAC] = { "journal_mac", OPT_ALG, 0 },
	[OPT_RECALCULATE] = { "recalculate", OPT_FLAG, 0 },
	[OPT_RESET_RECALCULATE] = { "reset_recalculate", OPT_FLAG, 0 },
	[OPT_NO_RECALCULATE] = { "no_recalculate", OPT_FLAG, 0 },
	[OPT_LEGACY_RECALCULATE] = { "legacy_recalculate", OPT_FLAG, 0 },
	[OPT_ALLOW_DISCARDS] = { "allow_discards", OPT_FLAG, 0 },
	[OPT_ALLOW_DISCARDS_KEYED] = { "allow_discards_keyed", OPT_FLAG, 0 },
	[OPT_FIX_PADDING] = { "fix_padding", OPT_FLAG, 0 },
	[OPT_FIX_HMAC] = { "fix_hmac", OPT_FLAG, 0 },
};

static void store_flag(struct integrity_params *p, enum opt_id id)
{
	switch (id) {
	case OPT_RESET_RECALCULATE:
		p->reset_recalculate = true;
		fallthrough;
	case OPT_RECALCULATE:
		p->recalculate = true;
		break;
	case OPT_NO_RECALCULATE:
		p->no_recalculate = true;
		break;
	case OPT_LEGACY_RECALCULATE:
		p->legacy_recalculate = true;
		break;
	case OPT_ALLOW_DISCARDS_KEYED:
		p->allow_discards_keyed = true;
		fallthrough;
	case OPT_ALLOW_DISCARDS:
		p->allow_discards = true;
		break;
	case OPT_FIX_PADDING:
		p->fix_padding = true;
		break;
	case OPT_FIX_HMAC:
		p->fix_hmac = true;
		break;
	default:
		break;
	}
}

static int store_number(struct integrity_params *p, enum opt_id id, u64 value)
{
	switch (id) {
	case OPT_JOURNAL_SECTORS:
		p->journal_sectors = value ? value : 1;
		p->have_journal_sectors = true;
		break;
	case OPT_INTERLEAVE_SECTORS:
		p->interleave_sectors = value;
		p->have_interleave_sectors = true;
		break;
	case OPT_BUFFER_SECTORS:
		/*
		 * Too large a number is not an error in-tree either, the largest buffer is
		 * taken.
		 */
		p->buffer_sectors = clamp_t(u64, value, 1, 1u << INTEGRITY_MAX_LOG2_BUFFER);
		p->have_buffer_sectors = true;
		break;
	case OPT_JOURNAL_WATERMARK:
		p->journal_watermark = value;
		p->have_journal_watermark = true;
		break;
	case OPT_COMMIT_TIME:
		p->commit_time = value;
		p->have_commit_time = true;
		break;
	case OPT_BLOCK_SIZE:
		if (value != 512 && value != 1024 && value != 2048 && value != 4096)
			return -EINVAL;
		p->block_size = value;
		p->have_block_size = true;
		break;
	case OPT_SECTORS_PER_BIT:
		p->sectors_per_bit = value ? value : 1;
		p->have_sectors_per_bit = true;
		break;
	case OPT_BITMAP_FLUSH_INTERVAL:
		p->bitmap_flush_interval = value;
		p->have_bitmap_flush_interval = true;
		break;
	default:
		return -EINVAL;
	}
	return 0;
}

static int parse_option_number(struct integrity_params *p, enum opt_id id, const char *value,
			       char *why, size_t why_size)
{
	u64 number;

	if (!parse_number(value, opts[id].max, &number) && !store_number(p, id, number))
		return 0;
	if (id == OPT_BLOCK_SIZE)
		return refuse(why, why_size,
			      "option 'block_size': '%.*s' is not 512, 1024, 2048 or 4096",
			      quoted_len(value), value);
	return refuse(why, why_size, "option '%s': '%.*s' is not a number from 0 to %llu",
		      opts[id].name, quoted_len(value), value, opts[id].max);
}

static int parse_option_alg(struct integrity_alg_param *a, const char *name, const char *value,
			    char *why, size_t why_size)
{
	const char *c;
	size_t digits;

	memset(a, 0, sizeof(*a));
	a->spec = value;
	a->name_len = strcspn(value, ":");
	if (!a->name_len)
		return refuse(why, why_size, "option '%s' has no algorithm", name);
	if (!value[a->name_len])
		return 0;

	a->hexkey = value + a->name_len + 1;
	for (c = a->hexkey; *c; c++)
		if (hex_to_bin(*c) < 0)
			return refuse(why, why_size,
				      "option '%s': the key has a character that is no hex digit",
				      name);
	digits = c - a->hexkey;
	if (!digits)
		return refuse(why, why_size, "option '%s': the key is empty", name);
	if (digits & 1)
		return refuse(why, why_size, "option '%s': the key has an odd number of hex digits",
			      name);
	a->key_len = digits / 2;
	return 0;
}

static int parse_option(struct integrity_params *p, const char *word, char *why, size_t why_size)
{
	const size_t name_len = strcspn(word, ":");
	const char *value = word[name_len] ? word + name_len + 1 : NULL;
	const struct opt *opt;
	unsigned int id;

	for (id = 0; id < ARRAY_SIZE(opts); id++)
		if (strlen(opts[id].name) == name_len && !memcmp(opts[id].name, word, name_len))
			break;
	if (id == ARRAY_SIZE(opts))
		return refuse(why, why_size, "unknown option '%.*s'", quoted_len(word), word);

	opt = &opts[id];
	if (opt->kind == OPT_FLAG) {
		if (value)
			return refuse(why, why_size, "option '%s' takes no value", opt->name);
		store_flag(p, id);
		return 0;
	}

	if (!value)
		return refuse(why, why_size, "option '%s' needs a value after a colon", opt->name);
	switch (id) {
	case OPT_META_DEVICE:
		if (!*value)
			return refuse(why, why_size, "option 'meta_device' names no device");
		p->meta_device = value;
		return 0;
	case OPT_INTERNAL_HASH:
		return parse_option_alg(&p->internal_hash, opt->name, value, why, why_size);
	case OPT_JOURNAL_CRYPT:
		return parse_option_alg(&p->journal_crypt, opt->name, value, why, why_size);
	case OPT_JOURNAL_MAC:
		return parse_option_alg(&p->journal_mac, opt->name, value, why, why_size);
	default:
		return parse_option_number(p, id, value, why, why_size);
	}
}

/* What one word demands of another, whatever their order. */
static int check_rules(const struct integrity_params *p, char *why, size_t why_size)
{
	const bool hash = p->internal_hash.spec;

	if (!p->tag_size && !hash)
		return refuse(why, why_size, "tag size '-' needs internal_hash");
	if ((p->mode == 'B' || p->mode == 'I') && !hash)
		return refuse(why, why_size, "mode %c needs internal_hash", p->mode);
	if (p->reset_recalculate && !hash)
		return refuse(why, why_size, "option 'reset_recalculate' needs internal_hash");
	if (p->recalculate && !hash)
		return refuse(why, why_size, "option 'recalculate' needs internal_hash");
	if (p->allow_discards_keyed && !p->internal_hash.hexkey)
		return refuse(why, why_size,
			      "option 'allow_discards_keyed' needs internal_hash with a key");
	if (p->allow_discards && !hash)
		return refuse(why, why_size, "option 'allow_discards' needs internal_hash");
	/*
	 * The in-tree target stores garbage in place of the bitmap, which protects nothing
	 * (5.1).
	 */
	if (p->mode == 'B' && p->journal_crypt.spec)
		return refuse(why, why_size, "mode B cannot have option 'journal_crypt'");
	if (p->mode == 'I') {
		if (p->meta_device)
			return refuse(why, why_size, "mode I cannot have option 'meta_device'");
		if (p->journal_mac.spec)
			return refuse(why, why_size, "mode I cannot have option 'journal_mac'");
		if (p->journal_crypt.spec)
			return refuse(why, why_size, "mode I cannot have option 'journal_crypt'");
		if (p->allow_discards)
			return refuse(why, why_size, "mode I cannot have option '%s'",
				      p->allow_discards_keyed ? "allow_discards_keyed" :
								"allow_discards");
	}
	return 0;
}

static int parse_fixed(struct integrity_params *p, char **argv, char *why, size_t why_size)
{
	u64 tag_size;

	if (!*argv[0])
		return refuse(why, why_size, "device is empty");
	p->device = argv[0];

	if (parse_number(argv[1], U64_MAX, &p->start))
		return refuse(why, why_size, "start '%.*s' is not a number of sectors",
			      quoted_len(argv[1]), argv[1]);

	if (strcmp(argv[2], "-")) {
		if (parse_number(argv[2], INTEGRITY_MAX_TAG_SIZE, &tag_size) || !tag_size)
			return refuse(why, why_size, "tag size '%.*s' is not 1..%u or '-'",
				      quoted_len(argv[2]), argv[2], INTEGRITY_MAX_TAG_SIZE);
		p->tag_size = tag_size;
	}

	if (strlen(argv[3]) != 1 || !strchr("JBDRI", argv[3][0]))
		return refuse(why, why_size, "mode '%.*s' is not J, B, D, R or I",
			      quoted_len(argv[3]), argv[3]);
	p->mode = argv[3][0];
	return 0;
}

int integrity_params_parse(struct integrity_params *p, unsigned int argc, char **argv, char *why,
			   size_t why_size)
{
	unsigned int i;
	u64 count;
	int r;

	*p = (struct integrity_params) {
		.interleave_sectors = DEFAULT_INTERLEAVE_SECTORS,
		.buffer_sectors = DEFAULT_BUFFER_SECTORS,
		.journal_watermark = DEFAULT_JOURNAL_WATERMARK,
		.commit_time = DEFAULT_COMMIT_TIME,
		.block_size = DEFAULT_BLOCK_SIZE,
		.sectors_per_bit = DEFAULT_SECTORS_PER_BIT,
		.bitmap_flush_interval = DEFAULT_BITMAP_FLUSH_INTERVAL,
	};

	if (argc < INTEGRITY_TABLE_FIXED_ARGS)
		return refuse(why, why_size,
			      "%u arguments are less than %u: device, start, tag size, mode, number of options",
			      argc, INTEGRITY_TABLE_FIXED_ARGS);

	r = parse_fixed(p, argv, why, why_size);
	if (r)
		return r;

	if (parse_number(argv[4], INTEGRITY_TABLE_MAX_OPTS, &count))
		return refuse(why, why_size, "number of options '%.*s' is not 0..%u",
			      quoted_len(argv[4]), argv[4], INTEGRITY_TABLE_MAX_OPTS);
	if (count > argc - INTEGRITY_TABLE_FIXED_ARGS)
		return refuse(why, why_size, "number of options %llu, but only %u follow", count,
			      argc - INTEGRITY_TABLE_FIXED_ARGS);

	for (i = 0; i < count; i++) {
		r = parse_option(p, argv[INTEGRITY_TABLE_FIXED_ARGS + i], why, why_size);
		if (r)
			return r;
	}
	return check_rules(p, why, why_size);
}

int integrity_alg_key(const struct integrity_alg_param *a, u8 *key)
{
	int high, low;
	size_t i;

	for (i = 0; i < a->key_len; i++) {
		high = hex_to_bin(a->hexkey[2 * i]);
		if (high < 0)
			return -EINVAL;
		low = hex_to_bin(a->hexkey[2 * i + 1]);
		if (low < 0)
			return -EINVAL;
		key[i] = high << 4 | low;
	}
	return 0;
}

/* --- text --- */

/* Text that grows; what does not fit is only counted. */
struct text {
	char *buf;
	size_t size;
	size_t len;
	unsigned int words;
};

static __printf(2, 3) void put(struct text *t, const char *fmt, ...)
{
	const bool room = t->len < t->size;
	va_list args;

	va_start(args, fmt);
	t->len += vsnprintf(room ? t->buf + t->len : NULL, room ? t->size - t->len : 0, fmt, args);
	va_end(args);
	t->words++;
}

/* One put() per option, so that the words are counted by what prints them. */
static void put_options(struct text *t, const struct integrity_table_view *v)
{
	if (v->meta_device)
		put(t, " meta_device:%s", v->meta_device);
	if (v->block_size != DEFAULT_BLOCK_SIZE)
		put(t, " block_size:%u", v->block_size);
	if (v->recalculate)
		put(t, " recalculate");
	if (v->reset_recalculate)
		put(t, " reset_recalculate");
	if (v->no_recalculate)
		put(t, " no_recalculate");
	if (v->allow_discards_keyed)
		put(t, " allow_discards_keyed");
	else if (v->allow_discards)
		put(t, " allow_discards");
	if (v->mode != 'I') {
		put(t, " journal_sectors:%llu", v->journal_sectors);
		put(t, " interleave_sectors:%llu", v->interleave_sectors);
		put(t, " buffer_sectors:%llu", v->buffer_sectors);
	}
	if (v->mode == 'J') {
		put(t, " journal_watermark:%u", v->journal_watermark);
		put(t, " commit_time:%u", v->commit_time);
	}
	if (v->mode == 'B') {
		put(t, " sectors_per_bit:%llu", v->sectors_per_bit);
		put(t, " bitmap_flush_interval:%u", v->bitmap_flush_interval);
	}
	if (v->fix_padding)
		put(t, " fix_padding");
	if (v->fix_hmac)
		put(t, " fix_hmac");
	if (v->legacy_recalculate)
		put(t, " legacy_recalculate");
	if (v->internal_hash)
		put(t, " internal_hash:%s", v->internal_hash);
	if (v->journal_crypt)
		put(t, " journal_crypt:%s", v->journal_crypt);
	if (v->journal_mac)
		put(t, " journal_mac:%s", v->journal_mac);
}

size_t integrity_table_text(const struct integrity_table_view *v, char *buf, size_t size)
{
	struct text count = { };
	struct text t = { .buf = buf, .size = size };

	/* The number comes before the words; a dry run counts them. */
	put_options(&count, v);
	put(&t, "%s %llu %u %c %u", v->device, v->start, v->tag_size, v->mode, count.words);
	put_options(&t, v);
	return t.len;
}

size_t integrity_status_text(const struct integrity_status_view *v, char *buf, size_t size)
{
	struct text t = { .buf = buf, .size = size };

	put(&t, "%llu %llu", v->mismatches, v->provided_sectors);
	if (v->have_recalc)
		put(&t, " %llu", v->recalc_sector);
	else
		put(&t, " -");
	put(&t, " %s %llu/%llu %llu %llu", v->action, v->done, v->total, v->rate, v->bad);
	if (v->have_first_bad)
		put(&t, " %llu", v->first_bad);
	else
		put(&t, " -");
	put(&t, " %llu", v->lost);
	return t.len;
}

static char yes_no(bool b)
{
	return b ? 'y' : 'n';
}

size_t integrity_ima_text(const struct integrity_table_view *v, char *buf, size_t size)
{
	struct text t = { .buf = buf, .size = size };

	put(&t, ",dev_name=%s,start=%llu,tag_size=%u,mode=%c", v->device, v->start, v->tag_size,
	    v->mode);
	if (v->meta_device)
		put(&t, ",meta_device=%s", v->meta_device);
	if (v->block_size != DEFAULT_BLOCK_SIZE)
		put(&t, ",block_size=%u", v->block_size);
	put(&t, ",recalculate=%c", yes_no(v->recalculate));
	put(&t, ",allow_discards=%c", yes_no(v->allow_discards || v->allow_discards_keyed));
	put(&t, ",allow_discards_keyed=%c", yes_no(v->allow_discards_keyed));
	put(&t, ",fix_padding=%c", yes_no(v->fix_padding));
	put(&t, ",fix_hmac=%c", yes_no(v->fix_hmac));
	put(&t, ",legacy_recalculate=%c", yes_no(v->legacy_recalculate));
	put(&t, ",journal_sectors=%llu", v->journal_sectors);
	put(&t, ",interleave_sectors=%llu", v->interleave_sectors);
	put(&t, ",buffer_sectors=%llu;", v->buffer_sectors);
	return t.len;
}

/* --- messages --- */

static const struct {
	const char *word;
	enum integrity_message_type type;
	enum { ARG_NONE, ARG_SPEED, ARG_RANGE } args;
} messages[] = {
	{ "recalculate", INTEGRITY_MSG_RECALCULATE, ARG_NONE },
	{ "reset_recalculate", INTEGRITY_MSG_RESET_RECALCULATE, ARG_NONE },
	{ "cancel_recalculate", INTEGRITY_MSG_CANCEL_RECALCULATE, ARG_NONE },
	{ "frozen", INTEGRITY_MSG_FROZEN, ARG_NONE },
	{ "idle", INTEGRITY_MSG_IDLE, ARG_NONE },
	{ "speed_min", INTEGRITY_MSG_SPEED_MIN, ARG_SPEED },
	{ "speed_max", INTEGRITY_MSG_SPEED_MAX, ARG_SPEED },
	{ "reset_mismatches", INTEGRITY_MSG_RESET_MISMATCHES, ARG_NONE },
	{ "check", INTEGRITY_MSG_CHECK, ARG_RANGE },
	{ "bad_blocks", INTEGRITY_MSG_BAD_BLOCKS, ARG_NONE },
};

static int parse_range(struct integrity_message *m, unsigned int argc, char **argv, char *why,
		       size_t why_size)
{
	int i;

	if (argc == 1)
		return 0;
	if (argc != 3)
		return refuse(why, why_size,
			      "message 'check' takes no argument, or two: start and length in sectors");
	for (i = 1; i <= 2; i++)
		if (parse_number(argv[i], U64_MAX, i == 1 ? &m->start : &m->sectors))
			return refuse(why, why_size,
				      "message 'check': '%.*s' is not a number of sectors",
				      quoted_len(argv[i]), argv[i]);
	m->have_range = true;
	return 0;
}

int integrity_message_parse(struct integrity_message *m, unsigned int argc, char **argv, char *why,
			    size_t why_size)
{
	const char *word;
	unsigned int i;

	if (!argc)
		return refuse(why, why_size, "message is empty");

	for (i = 0; i < ARRAY_SIZE(messages); i++)
		if (!strcasecmp(argv[0], messages[i].word))
			break;
	if (i == ARRAY_SIZE(messages))
		return refuse(why, why_size, "unknown message '%.*s'", quoted_len(argv[0]),
			      argv[0]);

	word = messages[i].word;
	m->type = messages[i].type;
	m->value = 0;
	m->have_range = false;
	m->start = 0;
	m->sectors = 0;
	if (messages[i].args == ARG_RANGE)
		return parse_range(m, argc, argv, why, why_size);
	if (messages[i].args == ARG_NONE) {
		if (argc != 1)
			return refuse(why, why_size, "message '%s' takes no argument, '%.*s' given",
				      word, quoted_len(argv[1]), argv[1]);
		return 0;
	}
	if (argc < 2)
		return refuse(why, why_size, "message '%s' needs a number of KiB/s", word);
	if (argc > 2)
		return refuse(why, why_size, "message '%s' takes one argument, '%.*s' is too much",
			      word, quoted_len(argv[2]), argv[2]);
	if (parse_number(argv[1], U32_MAX, &m->value))
		return refuse(why, why_size, "message '%s': '%.*s' is not a number from 0 to %u",
			      word, quoted_len(argv[1]), argv[1], U32_MAX);
	return 0;
}
