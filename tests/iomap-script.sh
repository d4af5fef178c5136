#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the kernel does with a mapped file, one thing after the other, on several
# kinds of volumes, with and without mappings cached in the kernel.
. "${0%/*}/iomap/functions.sh"
for volume in 4k 1k 2k bigalloc nojournal old; do
	iomap_test script $volume cache
done
iomap_test script 4k nocache
iomap_test script 1k nocache
iomap_test script 4k cache file
finish
