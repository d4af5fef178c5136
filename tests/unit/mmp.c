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

/* Writes a sequence number after so many seconds. */
struct later {
	double seconds;
	uint32_t seq;
};

static void *write_later(void *arg)
{
	const struct later *l = arg;

	sleep_seconds(l->seconds);
	other_write(l->seq);
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
	ok(now_ms() - start < 20 * SECOND, "and no more");
	seq = sequence();
	ok(seq && seq <= EXT4_MMP_SEQ_MAX, "a running number, checksum good:%s",
	   opts);
	ok(!strcmp(field("node_name"), shout("hostname")), "with our name");
	ok(!strncmp(field("device_name"), "img", 3), "and the device's");
	is(fs_start(fs), 0, "start");
	sleep_seconds(10);
	ok(sequence() - seq >= 3 && sequence() - seq < 15, "it counts on");
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

static void test_race(const char *what, uint32_t seq, struct later later)
{
	struct mmp_struct after;
	pthread_t thread;
	struct fs *fs;

	make(",^metadata_csum");
	other_load();
	other_write(seq);
	pthread_create(&thread, NULL, write_later, &later);
	is(vol_open(&fs), -EBUSY, what);
	pthread_join(thread, NULL);
	if (pread(other_fd, &after, sizeof(after), other_off) != sizeof(after))
		bail("reading");
	is(le32toh(after.mmp_seq), later.seq, "and it is left alone");
	close(other_fd);
}

/* --- losing it --- */

static void test_taken(bool started)
{
	struct mmp_struct after;
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
		sleep_seconds(5);
		ok(!fs_writable(fs), "taken by another host: stopped");
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
	if (pread(other_fd, &after, sizeof(after), other_off) != sizeof(after))
		bail("reading");
	is(le32toh(after.mmp_seq), 4711, "the block is the other's");
	close(other_fd);
}

static int fail_all(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	(void)ctx, (void)op, (void)off, (void)len;
	return -EIO;
}

static void test_fault(double seconds, bool writable, const char *what)
{
	struct fs *fs;

	make("");
	fs = vol_must_open();
	is(fs_start(fs), 0, "start");
	device_set_fault(fs->dev, fail_all, NULL);
	sleep_seconds(seconds);
	device_set_fault(fs->dev, NULL, NULL);
	sleep_seconds(2);
	is(fs_writable(fs), writable, what);
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
	test_race("the owner is alive", 17, (struct later){ 5, 18 });
	test_race("another was faster", EXT4_MMP_SEQ_CLEAN,
		  (struct later){ 5, 18 });
	test_taken(true);
	test_taken(false);
	test_fault(2.5, true, "a short failure is survived");
	test_fault(9, false, "a long one is not");
	return done();
}
