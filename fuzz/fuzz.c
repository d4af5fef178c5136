/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz.c - a fuzzer for fs/, journal/ and io/: damage and a program, as bytes
 * say (README.md has the commands).
 *
 * An input is: image, number of patches, that many patches of 9 bytes (area,
 * position, how, value; see damage_apply()), flags, program (fs_program.c).
 * With -DFUZZ_LIBFUZZER it is a libFuzzer target, else a program of its own
 * that runs inputs from files or makes up seeded ones.  The images are made
 * when it starts, in a temporary folder that it removes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/damage.h"
#include "fuzz/fs_program.h"

#define MAX_IMAGES	16
#define MAX_PATCHES	24
#define PATCH		9
#define MAX_INPUT	4096

static struct damage_image images[MAX_IMAGES];
static unsigned image_count;
static int memory = -1;
static uint8_t *copy;
static size_t copy_size;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char dir[] = "/tmp/fuse2fs-fuzz-XXXXXX", cmd[100];
	unsigned i;

	(void)argc, (void)argv;
	if (!mkdtemp(dir) || damage_make(dir))
		fail("images");
	for (i = 0; damage_names[i] && i < MAX_IMAGES; i++) {
		if (damage_load(dir, damage_names[i], &images[i]))
			fail(damage_names[i]);
		if (images[i].size > copy_size)
			copy_size = images[i].size;
		image_count++;
	}
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd))
		fail(dir);
	copy = malloc(copy_size);
	memory = memfd_create("fuzz", 0);
	if (!copy || memory < 0)
		fail("memory");
	return 0;
}

static void damage_as_told(struct damage_image *img, const uint8_t **data,
			   size_t *size)
{
	const uint8_t *p = *data;
	unsigned n, patches;
	uint32_t value;

	patches = *size ? *p++ % (MAX_PATCHES + 1) : 0;
	*size -= *size ? 1 : 0;
	for (n = 0; n < patches && *size >= PATCH; n++, p += PATCH) {
		memcpy(&value, p + 5, 4);
		damage_apply(img, copy, p[0] | p[1] << 8, p[2] | p[3] << 8,
			     p[4], value);
		*size -= PATCH;
	}
	*data = p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fs_program_opt opt = { 0 };
	struct damage_image *img;
	char path[64];

	if (size < 3)
		return 0;
	img = &images[data[0] % image_count];
	opt.ro = (data[1] & 7) == 7;
	opt.errors_ro = (data[1] & 0x18) == 8;
	data += 2;
	size -= 2;
	memcpy(copy, img->bytes, img->size);
	damage_as_told(img, &data, &size);
	if (ftruncate(memory, img->size) ||
	    pwrite(memory, copy, img->size, 0) != (ssize_t)img->size)
		fail("memory file");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
	fs_program(path, data, size, &opt);
	return 0;
}

#ifndef FUZZ_LIBFUZZER

static uint64_t state;

static uint32_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 16;
}

/* One input of a seed: few patches, the program mostly small numbers. */
static size_t make_up(uint64_t seed, uint8_t *data)
{
	size_t len = 0, i, patches;

	state = (seed + 1) * 0x9e3779b97f4a7c15ULL;
	for (i = 0; i < 4; i++)
		rnd();
	data[len++] = rnd();
	data[len++] = rnd();
	patches = rnd() % 5;
	data[len++] = patches;
	for (i = 0; i < patches * PATCH; i++)
		data[len++] = rnd() % 4 || i % PATCH == 5 ? rnd() : 0;
	for (i = 64 + rnd() % 800; i; i--)
		data[len++] = rnd() % 3 ? rnd() % 80 : rnd();
	return len;
}

static void save(const char *path, const uint8_t *data, size_t len)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		fail(path);
	close(fd);
}

static void run_file(const char *path)
{
	uint8_t data[MAX_INPUT];
	int fd = open(path, O_RDONLY);
	ssize_t len;

	len = fd < 0 ? -1 : read(fd, data, sizeof(data));
	if (len < 0)
		fail(path);
	close(fd);
	LLVMFuzzerTestOneInput(data, len);
}

/* fuzz FILE... or fuzz -n COUNT FIRST_SEED [SAVE_AS] */
int main(int argc, char **argv)
{
	uint64_t seed, end;
	uint8_t data[MAX_INPUT];
	size_t len;
	int i;

	if (argc < 2)
		return 2;
	LLVMFuzzerInitialize(&argc, &argv);
	if (strcmp(argv[1], "-n")) {
		for (i = 1; i < argc; i++)
			run_file(argv[i]);
		return 0;
	}
	seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 0;
	end = seed + (argc > 2 ? strtoull(argv[2], NULL, 0) : 1);
	for (; seed < end; seed++) {
		len = make_up(seed, data);
		if (argc > 4)
			save(argv[4], data, len);
		fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
		alarm(30);
		LLVMFuzzerTestOneInput(data, len);
	}
	return 0;
}

#endif
