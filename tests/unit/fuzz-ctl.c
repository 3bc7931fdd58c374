// SPDX-License-Identifier: GPL-2.0-only
/* What integrityctl reads of the kernel and of its command line, with anything in it. */
#include <stdlib.h>

#include "../../tools/json.h"
#include "../../tools/parse.h"
#include "kernel.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	char *text = malloc(size + 1), *out = NULL, reason[16];
	struct ranges ranges;
	struct status status;
	struct table table;
	struct json j;
	uint64_t n;
	size_t len;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	j = (struct json) { .file = open_memstream(&out, &len) };
	if (!parse_status(text, &status))
		json_string(&j, NULL, status.action);
	if (!parse_table(text, &table))
		json_string(&j, NULL, table.hash);
	if (!parse_ranges(text, &ranges))
		free_ranges(&ranges);
	parse_number(text, U64_MAX, &n);
	parse_sectors(text, &n);
	if (parse_escaped(text, reason, sizeof(reason)))
		json_string(&j, NULL, reason);
	kernel_reason(text, 7, reason, sizeof(reason));
	json_string(&j, NULL, text);
	fclose(j.file);
	free(out);
	free(text);
	return 0;
}
