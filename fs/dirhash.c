/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dirhash.c - names: their hashes, and when two of them are the same.
 *
 * Knows the hash versions (the arithmetic is libext2fs's), signedness, the
 * seed, and case folding.  Knows nothing of blocks.  Takes no locks; all it
 * reads is constant while the volume is open.
 */
#include "dir_internal.h"

#include <string.h>

#define GROUP_TIE_BITS	22

bool dir_is_casefold(const struct inode *dir)
{
	return ext2fs_has_feature_casefold(dir->fs->e2->super) &&
	       (dir->i.flags & EXT4_CASEFOLD_FL);
}

bool dir_has_disk_hash(const struct inode *dir)
{
	return dir_is_casefold(dir) && (dir->i.flags & EXT4_ENCRYPT_FL);
}

bool dir_hash_known(unsigned version)
{
	return version <= EXT2_HASH_TEA;
}

static const struct ext2fs_nls_table *dir_charset(const struct inode *dir)
{
	if (!dir_is_casefold(dir) || (dir->i.flags & EXT4_ENCRYPT_FL))
		return NULL;
	return ext2fs_load_nls_table(dir->fs->e2->super->s_encoding);
}

int dir_hash(struct inode *dir, unsigned version, const char *name, size_t len,
	     struct dir_hash *h)
{
	const struct ext2_super_block *sb = dir->fs->e2->super;
	const struct ext2fs_nls_table *charset = dir_charset(dir);
	ext2_dirhash_t major, minor;

	if (!dir_hash_known(version))
		return -EINVAL;
	if (sb->s_flags & EXT2_FLAGS_UNSIGNED_HASH)
		version += EXT2_HASH_LEGACY_UNSIGNED;
	if (ext2fs_dirhash2((int)version, name, (int)len, charset,
			    charset ? EXT4_CASEFOLD_FL : 0, sb->s_hash_seed,
			    &major, &minor))
		return -EINVAL;
	h->major = major & ~1u;
	h->minor = minor;
	return 0;
}

/*
 * The legacy hash has no minor half, so names are told apart by another sum
 * there; keyed, that nobody can make them collide from outside.
 */
static uint32_t dir_name_sum(const struct inode *dir, const char *name, size_t len)
{
	const uint32_t *seed = dir->fs->e2->super->s_hash_seed;
	uint64_t sum = 0xcbf29ce484222325u ^ seed[0] ^ (uint64_t)seed[1] << 32;

	while (len--) {
		sum ^= (uint8_t)*name++;
		sum *= 0x100000001b3u;
	}
	return (uint32_t)(sum >> 32) ^ (uint32_t)sum;
}

uint64_t dir_hash_group(struct inode *dir, const struct dir_hash *h,
			unsigned version, const char *name, size_t len)
{
	uint32_t tie = h->minor;

	if (version == EXT2_HASH_LEGACY)
		tie = dir_name_sum(dir, name, len);
	return (uint64_t)(h->major >> 1) << GROUP_TIE_BITS |
	       tie >> (32 - GROUP_TIE_BITS);
}

bool dir_name_equal(struct inode *dir, const char *a, size_t alen,
		    const char *b, size_t blen)
{
	const struct ext2fs_nls_table *charset;

	if (alen == blen && !memcmp(a, b, alen))
		return true;
	if (!(dir->i.flags & EXT4_CASEFOLD_FL))
		return false;
	charset = dir_charset(dir);
	return charset &&
	       ext2fs_casefold_cmp(charset, (const unsigned char *)a, alen,
				   (const unsigned char *)b, blen) == 0;
}
