#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# iomap with kernels that offer it, do not, or only half: what is sent, and that
# the files are served all the same.
. "${0%/*}/iomap/functions.sh"
iomap_test negotiate
finish
