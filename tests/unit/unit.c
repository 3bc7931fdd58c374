// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

/* Not a status that a sanitizer or abort() ends a process with. */
#define STATUS_REPORTED		42

static const char *current;
static u64 state;

u64 unit_random(void)
{
	/* splitmix64 */
	u64 z = (state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

void unit_fail(const char *file, int line, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	va_list args;

	printf("FAIL %s %s:%d: ", current, base ? base + 1 : file, line);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(STATUS_REPORTED);
}

void unit_note(const char *fmt, ...)
{
	va_list args;

	printf("# %s: ", current);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

static bool run_one(const struct unit_test *test)
{
	const char *seed = getenv("UNIT_SEED");
	int status;
	pid_t pid;

	current = test->name;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		state = seed ? strtoull(seed, NULL, 0) : 1;
		test->run();
		fflush(stdout);
		exit(0);	/* not _exit(): this is where leaks are looked for */
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		printf("FAIL %s cannot run: %s\n", test->name, strerror(errno));
		return false;
	}
	if (WIFEXITED(status) && !WEXITSTATUS(status)) {
		printf("ok %s\n", test->name);
		return true;
	}
	if (WIFSIGNALED(status))
		printf("FAIL %s died of signal %d\n", test->name, WTERMSIG(status));
	else if (WEXITSTATUS(status) != STATUS_REPORTED)
		printf("FAIL %s exited with %d, see the sanitizer's report\n", test->name,
		       WEXITSTATUS(status));
	return false;
}

int unit_main(const struct unit_test *tests, size_t count, int argc, char **argv)
{
	bool good = true;
	size_t i;
	int j, ran = 0;

	for (i = 0; i < count; i++) {
		for (j = 1; j < argc; j++)
			if (!strcmp(argv[j], tests[i].name))
				break;
		if (argc > 1 && j == argc)
			continue;
		ran++;
		good &= run_one(&tests[i]);
	}
	if (!ran)
		printf("FAIL %s no such test\n", argc > 1 ? argv[1] : argv[0]);
	return good && ran ? 0 : 1;
}
