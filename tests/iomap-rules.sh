#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The rules of the iomap protocol, one by one.
. "${0%/*}/iomap/functions.sh"
iomap_test rules
iomap_test volume
finish
