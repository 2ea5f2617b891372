/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz-replay: stands in for libFuzzer in the normal build; runs a target on every file of a corpus folder, on
 * every prefix of each file, and on a few thousand deterministic mutations. Never part of a product.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX = 1 << 20, MUTATIONS = 200, PREFIX_MAX = 512 };

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Gives the target a copy of exactly LEN bytes, so that ASan sees a read beyond the end. */
static void run_exact(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		abort();
	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static void run_mutations(uint8_t *data, size_t len)
{
	for (size_t n = 0; n < len && n < PREFIX_MAX; n++)
		run_exact(data, n);
	for (int i = 0; len && i < MUTATIONS; i++) {
		size_t at = next_random() % len;
		uint8_t old = data[at];

		data[at] = (uint8_t)next_random();
		run_exact(data, len);
		data[at] = old;
	}
}

int main(int argc, char **argv)
{
	static uint8_t data[FILE_MAX];
	struct dirent *e;
	unsigned int n_files = 0;
	DIR *dir;

	if (argc != 2 || !(dir = opendir(argv[1]))) {
		fprintf(stderr, "usage: fuzz-NAME CORPUS-FOLDER (must exist)\n");
		return 1;
	}
	while ((e = readdir(dir))) {
		char path[4096];
		size_t len;
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", argv[1], e->d_name);
		f = fopen(path, "rb");
		if (!f)
			return 1;
		len = fread(data, 1, sizeof(data), f);
		fclose(f);
		run_exact(data, len);
		run_mutations(data, len);
		n_files++;
	}
	closedir(dir);
	if (!n_files) {
		fprintf(stderr, "%s: no seed\n", argv[1]);
		return 1;
	}
	printf("%u seeds replayed\n", n_files);
	return 0;
}
