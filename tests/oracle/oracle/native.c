// SPDX-License-Identifier: GPL-2.0-only
/*
 * The slow loops of the oracle: checksums over many blocks, AES and ChaCha20.
 * Compiled at first use by native.py, which also knows what to do without it.
 * Everything here exists a second time in Python (hashes.py, ciphers.py), and
 * selftest compares the two.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- CRC-32C and CRC-32, eight bytes a step ----------------------------- */

struct crc_table {
	uint32_t t[8][256];
	int ready;
};

static struct crc_table castagnoli, ethernet;

static void crc_prepare(struct crc_table *c, uint32_t poly)
{
	if (c->ready)
		return;
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t r = i;

		for (int k = 0; k < 8; k++)
			r = (r & 1) ? (r >> 1) ^ poly : r >> 1;
		c->t[0][i] = r;
	}
	for (int s = 1; s < 8; s++)
		for (int i = 0; i < 256; i++)
			c->t[s][i] = c->t[0][c->t[s - 1][i] & 0xff] ^ (c->t[s - 1][i] >> 8);
	c->ready = 1;
}

static uint64_t get_le(const uint8_t *p, int n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

static void put_le(uint8_t *p, uint64_t v, int n)
{
	for (; n; n--, v >>= 8)
		*p++ = (uint8_t)v;
}

static uint32_t crc(const struct crc_table *c, uint32_t r, const uint8_t *p, size_t n)
{
	for (; n >= 8; n -= 8, p += 8) {
		uint32_t a = r ^ (uint32_t)get_le(p, 4), b = (uint32_t)get_le(p + 4, 4);

		r = c->t[7][a & 0xff] ^ c->t[6][a >> 8 & 0xff] ^
		    c->t[5][a >> 16 & 0xff] ^ c->t[4][a >> 24] ^
		    c->t[3][b & 0xff] ^ c->t[2][b >> 8 & 0xff] ^
		    c->t[1][b >> 16 & 0xff] ^ c->t[0][b >> 24];
	}
	while (n--)
		r = c->t[0][(r ^ *p++) & 0xff] ^ (r >> 8);
	return r;
}

/* ---- XXH64 --------------------------------------------------------------- */

#define P1 0x9E3779B185EBCA87ull
#define P2 0xC2B2AE3D27D4EB4Full
#define P3 0x165667B19E3779F9ull
#define P4 0x85EBCA77C2B2AE63ull
#define P5 0x27D4EB2F165667C5ull

static uint64_t rotl(uint64_t v, int n)
{
	return v << n | v >> (64 - n);
}

static uint64_t xxh_round(uint64_t acc, uint64_t in)
{
	return rotl(acc + in * P2, 31) * P1;
}

/* The message is two pieces: a prefix of at most 24 bytes, and a block. */
struct xxh {
	uint64_t v[4], seed, total;
	uint8_t buf[32];
	unsigned int fill;
};

static void xxh_init(struct xxh *x, uint64_t seed)
{
	memset(x, 0, sizeof(*x));
	x->seed = seed;
	x->v[0] = seed + P1 + P2;
	x->v[1] = seed + P2;
	x->v[2] = seed;
	x->v[3] = seed - P1;
}

static void xxh_stripe(struct xxh *x, const uint8_t *p)
{
	for (int i = 0; i < 4; i++)
		x->v[i] = xxh_round(x->v[i], get_le(p + 8 * i, 8));
}

static void xxh_update(struct xxh *x, const uint8_t *p, size_t n)
{
	x->total += n;
	while (n) {
		size_t k;

		if (!x->fill)
			for (; n >= 32; n -= 32, p += 32)
				xxh_stripe(x, p);
		k = 32 - x->fill < n ? 32 - x->fill : n;
		memcpy(x->buf + x->fill, p, k);
		x->fill += (unsigned int)k;
		p += k;
		n -= k;
		if (x->fill == 32) {
			xxh_stripe(x, x->buf);
			x->fill = 0;
		}
	}
}

static uint64_t xxh_final(const struct xxh *x)
{
	const uint8_t *p = x->buf;
	unsigned int n = x->fill;
	uint64_t h;

	if (x->total >= 32) {
		h = rotl(x->v[0], 1) + rotl(x->v[1], 7) + rotl(x->v[2], 12) + rotl(x->v[3], 18);
		for (int i = 0; i < 4; i++)
			h = (h ^ xxh_round(0, x->v[i])) * P1 + P4;
	} else {
		h = x->seed + P5;
	}
	h += x->total;
	for (; n >= 8; n -= 8, p += 8)
		h = rotl(h ^ xxh_round(0, get_le(p, 8)), 27) * P1 + P4;
	for (; n >= 4; n -= 4, p += 4)
		h = rotl(h ^ get_le(p, 4) * P1, 23) * P2 + P3;
	for (; n; n--, p++)
		h = rotl(h ^ *p * P5, 11) * P1;
	h = (h ^ h >> 33) * P2;
	h = (h ^ h >> 29) * P3;
	return h ^ h >> 32;
}

/*
 * Tags of @count blocks of @bs bytes at @data, the first of which is logical
 * sector @sector: H(prefix || le64(sector) || block), cut or padded with zeros to
 * @tag bytes each. @alg is 0 for crc32c, 1 for crc32, 2 for xxhash64; @seed is
 * the initial register or seed. With @bs 0 the message ends after the sector
 * and @step sectors lie between two of them.
 */
void oracle_tags(int alg, uint64_t seed, const uint8_t *prefix, size_t prefix_len,
		 uint64_t sector, unsigned int step, const uint8_t *data, size_t bs,
		 size_t count, uint8_t *out, size_t tag)
{
	const struct crc_table *c = alg ? &ethernet : &castagnoli;
	size_t size = alg == 2 ? 8 : 4, use = tag < size ? tag : size;
	uint32_t start;

	crc_prepare(&castagnoli, 0x82F63B78);
	crc_prepare(&ethernet, 0xEDB88320);
	start = crc(c, (uint32_t)seed, prefix, prefix_len);

	memset(out, 0, count * tag);
	for (; count; count--, sector += step, data += bs, out += tag) {
		uint8_t number[8], digest[8];
		uint64_t value;

		put_le(number, sector, 8);
		if (alg == 2) {
			struct xxh x;

			xxh_init(&x, seed);
			xxh_update(&x, prefix, prefix_len);
			xxh_update(&x, number, 8);
			xxh_update(&x, data, bs);
			value = xxh_final(&x);
		} else {
			value = crc(c, crc(c, start, number, 8), data, bs);
			if (alg == 0)
				value = ~value;
		}
		put_le(digest, value, (int)size);
		memcpy(out, digest, use);
	}
}

/* ---- AES ------------------------------------------------------------------ */

static uint8_t sbox[256], inv_sbox[256];

static uint8_t gf_mul(uint8_t a, uint8_t b)
{
	uint8_t r = 0;

	for (; b; b >>= 1, a = (uint8_t)(a << 1 ^ (a & 0x80 ? 0x1b : 0)))
		if (b & 1)
			r ^= a;
	return r;
}

static uint8_t mul9[256], mul11[256], mul13[256], mul14[256], mul2[256];

static void aes_prepare(void)
{
	uint8_t p = 1, q = 1;

	if (sbox[0])
		return;
	do {	/* q is the inverse of p: one is multiplied by 3, the other divided */
		uint8_t x;

		p = gf_mul(p, 3);
		q = gf_mul(q, 0xf6);
		x = (uint8_t)(q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^
			      (q << 3 | q >> 5) ^ (q << 4 | q >> 4));
		sbox[p] = x ^ 0x63;
	} while (p != 1);
	sbox[0] = 0x63;
	for (int i = 0; i < 256; i++) {
		inv_sbox[sbox[i]] = (uint8_t)i;
		mul2[i] = gf_mul((uint8_t)i, 2);
		mul9[i] = gf_mul((uint8_t)i, 9);
		mul11[i] = gf_mul((uint8_t)i, 11);
		mul13[i] = gf_mul((uint8_t)i, 13);
		mul14[i] = gf_mul((uint8_t)i, 14);
	}
}

struct aes {
	uint8_t key[15][16];
	int rounds;
};

static void aes_key(struct aes *a, const uint8_t *key, size_t len)
{
	uint8_t *w = &a->key[0][0], rcon = 1;
	size_t words = len / 4;

	aes_prepare();
	a->rounds = (int)words + 6;
	memcpy(w, key, len);
	for (size_t i = words; i < 4 * (size_t)(a->rounds + 1); i++) {
		uint8_t t[4];

		memcpy(t, w + 4 * (i - 1), 4);
		if (i % words == 0) {
			uint8_t first = t[0];

			t[0] = sbox[t[1]] ^ rcon;
			t[1] = sbox[t[2]];
			t[2] = sbox[t[3]];
			t[3] = sbox[first];
			rcon = gf_mul(rcon, 2);
		} else if (words > 6 && i % words == 4) {
			for (int k = 0; k < 4; k++)
				t[k] = sbox[t[k]];
		}
		for (int k = 0; k < 4; k++)
			w[4 * i + k] = w[4 * (i - words) + k] ^ t[k];
	}
}

static void xor16(uint8_t *a, const uint8_t *b)
{
	for (int i = 0; i < 16; i++)
		a[i] ^= b[i];
}

static void aes_encrypt(const struct aes *a, uint8_t *s)
{
	xor16(s, a->key[0]);
	for (int r = 1; r <= a->rounds; r++) {
		uint8_t t[16];

		for (int i = 0; i < 16; i++)
			t[i] = sbox[s[(i + 4 * (i % 4)) % 16]];
		if (r == a->rounds) {
			memcpy(s, t, 16);
		} else {
			for (int c = 0; c < 16; c += 4) {
				uint8_t all = t[c] ^ t[c + 1] ^ t[c + 2] ^ t[c + 3];

				for (int i = 0; i < 4; i++)
					s[c + i] = t[c + i] ^ all ^
						   mul2[t[c + i] ^ t[c + (i + 1) % 4]];
			}
		}
		xor16(s, a->key[r]);
	}
}

static void aes_decrypt(const struct aes *a, uint8_t *s)
{
	for (int r = a->rounds; r > 0; r--) {
		uint8_t t[16];

		xor16(s, a->key[r]);
		if (r < a->rounds) {
			for (int c = 0; c < 16; c += 4)
				for (int i = 0; i < 4; i++)
					t[c + i] = mul14[s[c + i]] ^ mul11[s[c + (i + 1) % 4]] ^
						   mul13[s[c + (i + 2) % 4]] ^ mul9[s[c + (i + 3) % 4]];
			memcpy(s, t, 16);
		}
		for (int i = 0; i < 16; i++)
			t[(i + 4 * (i % 4)) % 16] = inv_sbox[s[i]];
		memcpy(s, t, 16);
	}
	xor16(s, a->key[0]);
}

/* @op: 0 xors the CTR keystream that starts at @iv, 1 CBC encrypts, 2 CBC decrypts. */
void oracle_aes(int op, const uint8_t *key, size_t key_len, uint8_t *iv, uint8_t *data, size_t n)
{
	struct aes a;

	aes_key(&a, key, key_len);
	for (; n; data += 16, n -= n < 16 ? n : 16) {
		uint8_t t[16];

		if (op == 0) {
			memcpy(t, iv, 16);
			aes_encrypt(&a, t);
			for (size_t i = 0; i < 16 && i < n; i++)
				data[i] ^= t[i];
			for (int i = 15; i >= 0 && !++iv[i]; i--)
				;
		} else if (op == 1) {
			xor16(data, iv);
			aes_encrypt(&a, data);
			memcpy(iv, data, 16);
		} else {
			memcpy(t, data, 16);
			aes_decrypt(&a, data);
			xor16(data, iv);
			memcpy(iv, t, 16);
		}
	}
}

/* ---- ChaCha20: 16 bytes of IV are a 32-bit counter and a 96-bit nonce ------ */

static void quarter(uint32_t *x, int a, int b, int c, int d)
{
#define ROT(v, n) ((v) = (v) << (n) | (v) >> (32 - (n)))
	x[a] += x[b]; x[d] ^= x[a]; ROT(x[d], 16);
	x[c] += x[d]; x[b] ^= x[c]; ROT(x[b], 12);
	x[a] += x[b]; x[d] ^= x[a]; ROT(x[d], 8);
	x[c] += x[d]; x[b] ^= x[c]; ROT(x[b], 7);
}

void oracle_chacha20(const uint8_t *key, const uint8_t *iv, uint8_t *data, size_t n)
{
	uint32_t state[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };

	for (int i = 0; i < 8; i++)
		state[4 + i] = (uint32_t)get_le(key + 4 * i, 4);
	for (int i = 0; i < 4; i++)
		state[12 + i] = (uint32_t)get_le(iv + 4 * i, 4);
	for (; n; data += 64, n -= n < 64 ? n : 64, state[12]++) {
		uint32_t x[16];
		uint8_t out[64];

		memcpy(x, state, sizeof(x));
		for (int r = 0; r < 10; r++) {
			for (int i = 0; i < 4; i++)
				quarter(x, i, 4 + i, 8 + i, 12 + i);
			for (int i = 0; i < 4; i++)
				quarter(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
		}
		for (int i = 0; i < 16; i++)
			put_le(out + 4 * i, x[i] + state[i], 4);
		for (size_t i = 0; i < 64 && i < n; i++)
			data[i] ^= out[i];
	}
}
