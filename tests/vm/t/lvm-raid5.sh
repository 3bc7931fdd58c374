# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# LVM's raid5 on our module, as lvm-integrity has raid1: with integrity from the begin and put under it while it is
# written to, in modes bitmap and journal. Blocks of every leg are damaged, never two of a stripe: reads give what was
# written, a check of the array counts and mends them, no leg is dropped. Extended, opened by the kernel's own target,
# integrity taken away, removed. Not on 6.1, whose raid5 hangs when LVM suspends it in its first synchronization, before
# it has any integrity.
# kernels: 6.12
# long-kernels: debug
# long: yes
# cpus: 1
# timeout: 400

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

type=raid5
create_args=(-i 3)
md=raid5_ls
mib=48
modules=(raid456 dm-raid)
ramdisk 96 4
disks=(/dev/ram{0..3})
. "$DMI_TOP/tests/vm/lvm.sh"

lvm_ vgcreate -s 1M vg "${disks[@]}"
made_with bitmap B
by_intree
tags_right
taken_away
gets journal J
heals
by_intree
tags_right
expect_eq "$(sum_of $lv)" "$want" "contents when opened again"
taken_away
removed
lvm_ vgremove vg
