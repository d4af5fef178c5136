/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmp.c - multiple mount protection: who may have the volume, that the owner
 * counts, and that it lets go at once when another host has it.  A second of
 * the protocol is some milliseconds here.
 */
#include <pthread.h>
#include <time.h>

#include "voltest.h"
#include "fs/mmp.h"
#include "io/device.h"

#define SECOND	20		/* ms */
#define PATIENCE 20000		/* ms */
#define CLEAN	"ff4d4d50"

static void sleep_seconds(double n)
{
	usleep(n * SECOND * 1000);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Until the volume takes no more writes, as it should soon. */
static bool wait_stopped(struct fs *fs)
{
	int64_t start = now_ms();

	while (fs_writable(fs) && now_ms() - start < PATIENCE)
		sleep_seconds(1);
	return !fs_writable(fs);
}


/* A field as debugfs prints it, which checks the checksum first. */
static const char *field(const char *name)
{
	static char out[100];

	snprintf(out, sizeof(out), "%s",
		 shout("debugfs -R dump_mmp $IMG 2>/dev/null | sed -n 's/^%s: *//p'",
		       name));
	return out;
}

static uint32_t sequence(void)
{
	return strtoul(field("sequence"), NULL, 16);
}

/* --- another host --- */

static int other_fd;
static off_t other_off;
static struct mmp_struct other;

static void other_load(void)
{
	unsigned long blk = strtoul(field("block_number"), NULL, 0);
	unsigned bs = atoi(shout("dumpe2fs -h $IMG 2>/dev/null | sed -n 's/^Block size: *//p'"));

	other_fd = open(vol_img, O_RDWR);
	other_off = (off_t)blk * bs;
	if (other_fd < 0 || !blk || !bs ||
	    pread(other_fd, &other, sizeof(other), other_off) != sizeof(other))
		bail("the MMP block");
}

static void other_write(uint32_t seq)
{
	other.mmp_seq = htole32(seq);
	strcpy((char *)other.mmp_nodename, "elsewhere");
	if (pwrite(other_fd, &other, sizeof(other), other_off) !=
	    sizeof(other))
		bail("writing the MMP block");
}

static uint32_t other_read(void)
{
	struct mmp_struct now;

	if (pread(other_fd, &now, sizeof(now), other_off) != sizeof(now))
		bail("reading the MMP block");
	return le32toh(now.mmp_seq);
}

static _Atomic bool other_stop;

/* An owner that lives. */
static void *count_on(void *arg)
{
	uint32_t seq = 17;

	(void)arg;
	while (!other_stop) {
		other_write(++seq);
		usleep(1000);
	}
	return NULL;
}

/* Another that wants the volume, and writes after us. */
static void *write_after(void *arg)
{
	(void)arg;
	while (!other_stop && other_read() == EXT4_MMP_SEQ_CLEAN)
		usleep(1000);
	other_write(4711);
	return NULL;
}

static void make(const char *opts)
{
	char args[200];

	snprintf(args, sizeof(args), "-t ext4 -O mmp%s -E mmp_update_interval=1",
		 opts);
	vol_make(args, "32M");
}

/* --- the owner --- */

static void test_owner(const char *opts)
{
	int64_t start;
	struct fs *fs;
	uint32_t seq;

	make(opts);
	start = now_ms();
	fs = vol_must_open();
	ok(now_ms() - start >= 11 * SECOND, "taking it needs 11 seconds");
	seq = sequence();
	ok(seq && seq <= EXT4_MMP_SEQ_MAX, "a running number, checksum good:%s",
	   opts);
	ok(!strcmp(field("node_name"), shout("hostname")), "with our name");
	ok(!strncmp(field("device_name"), "img", 3), "and the device's");
	is(fs_start(fs), 0, "start");
	while (sequence() - seq < 3 && now_ms() - start < PATIENCE)
		sleep_seconds(1);
	ok(sequence() - seq >= 3, "it counts on");
	is(fs_close(fs), 0, "close");
	ok(strstr(field("sequence"), CLEAN), "clean at the end");
	ok(vol_clean(), "e2fsck");
}

static void test_readonly(void)
{
	struct fs_options opt = { .source = vol_img, .ro = true };
	struct fs *fs;
	char sum[100];

	make(",^metadata_csum");
	other_load();
	other_write(EXT4_MMP_SEQ_FSCK);
	snprintf(sum, sizeof(sum), "%s", shout("md5sum <$IMG"));
	is(fs_open(&opt, &fs), 0, "who only reads does not care");
	fs_close(fs);
	ok(!strcmp(sum, shout("md5sum <$IMG")), "and writes nothing");
	close(other_fd);
}

/* --- the way in --- */

static void test_entry(void)
{
	int64_t start;
	struct fs *fs;

	make(",^metadata_csum");
	other_load();
	other_write(EXT4_MMP_SEQ_FSCK);
	is(vol_open(&fs), -EBUSY, "e2fsck is running");
	other_write(EXT4_MMP_SEQ_FSCK + 5);
	is(vol_open(&fs), -EBUSY, "an unknown number");
	other_write(17);
	start = now_ms();
	is(vol_open(&fs), 0, "an owner that died");
	ok(now_ms() - start >= 22 * SECOND, "is waited for");
	is(fs_close(fs), 0, "close");
	other.mmp_check_interval = htole16(20);
	other_write(EXT4_MMP_SEQ_CLEAN);
	start = now_ms();
	is(vol_open(&fs), 0, "an interval of its own");
	ok(now_ms() - start >= 41 * SECOND, "is respected");
	is(fs_close(fs), 0, "close");
	other.mmp_magic ^= 1;
	other_write(EXT4_MMP_SEQ_CLEAN);
	is(vol_open(&fs), -EFSCORRUPTED, "no MMP block there");
	close(other_fd);
	sh("debugfs -w -R 'ssv mmp_block 100000000' $IMG >/dev/null 2>&1");
	is(vol_open(&fs), -EFSCORRUPTED, "not in the volume");
}

static void test_race(const char *what, uint32_t seq, void *(*fn)(void *))
{
	pthread_t thread;
	struct fs *fs;

	make(",^metadata_csum");
	other_load();
	other_write(seq);
	other_stop = false;
	pthread_create(&thread, NULL, fn, NULL);
	is(vol_open(&fs), -EBUSY, what);
	other_stop = true;
	pthread_join(thread, NULL);
	is(other_read(), le32toh(other.mmp_seq), "and it is left alone");
	close(other_fd);
}

/* --- losing it --- */

static void test_taken(bool started)
{
	char sum[100];
	struct txn *t;
	struct fs *fs;

	make(",^metadata_csum");
	fs = vol_must_open();
	other_load();
	if (started)
		is(fs_start(fs), 0, "start");
	sleep_seconds(0.5);
	other_write(4711);
	snprintf(sum, sizeof(sum), "%s", shout("md5sum <$IMG"));
	if (started) {
		ok(wait_stopped(fs), "taken by another host: stopped");
		fs_lock(fs);
		is(txn_begin(fs, TXN_SUPER, &t), -EROFS, "nothing begins");
		fs_unlock(fs);
		is(device_write(fs->dev, sum, 1, 5000), -EROFS,
		   "nothing is written");
		is(fs_close(fs), -EIO, "close tells it");
		ok(!strcmp(sum, shout("md5sum <$IMG")), "not a byte");
	} else {
		fs_close(fs);
	}
	is(other_read(), 4711, "the block is the other's");
	close(other_fd);
}

/* Fails some accesses, and counts them. */
static int fail_some(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	_Atomic int *left = ctx;

	(void)op, (void)off, (void)len;
	return *left > 0 && (*left)-- > 0 ? -EIO : 0;
}

static void test_fault(int count, bool writable, const char *what)
{
	int64_t start;
	_Atomic int left = count;
	struct fs *fs;
	uint32_t seq;

	make("");
	fs = vol_must_open();
	seq = sequence();
	device_set_fault(fs->dev, fail_some, &left);
	is(fs_start(fs), 0, "start");
	if (writable) {
		start = now_ms();
		while (sequence() == seq && now_ms() - start < PATIENCE)
			sleep_seconds(1);
		ok(sequence() != seq && fs_writable(fs), "%s", what);
	} else {
		ok(wait_stopped(fs), "%s", what);
	}
	left = 0;
	is(fs_close(fs) == 0, writable, "close");
}

int main(void)
{
	vol_init("mmp");
	mmp_second_ms = SECOND;
	test_owner("");
	test_owner(",^metadata_csum -b 1024");
	test_owner(",metadata_csum_seed -b 65536");
	test_readonly();
	test_entry();
	test_race("the owner is alive", 17, count_on);
	test_race("another was faster", EXT4_MMP_SEQ_CLEAN, write_after);
	test_taken(true);
	test_taken(false);
	test_fault(1000000, false, "a long failure ends it");
	mmp_second_ms = 200;
	test_fault(1, true, "a short one is survived");
	return done();
}
