#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Where iomap begins and ends: volumes inside of a device, images in use, ro, files
# that change sides, signals.
. "${0%/*}/iomap/functions.sh"
iomap_test edges
finish
