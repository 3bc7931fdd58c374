#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The machine reboots or is switched off while volumes in mode B are written to and no bit was ever cleared:
# what is dirty afterwards is only what was not acknowledged, each other block has the tag that belongs to it,
# also those written between the reboot notifier and the end, and a recalculation has its position saved. After
# a crash instead, everything that was written to is dirty. Ours and in-tree open all of it.
# host: yes
# kernels: 6.12
# long-kernels: 6.1 debug
# long: yes
# timeout: 900

exec /usr/bin/python3 "$DMI_TOP/tests/vm/bitmap-reboot"
