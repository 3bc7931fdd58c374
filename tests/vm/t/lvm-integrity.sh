# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# LVM itself on our module, in modes bitmap and journal: a raid1 is made with integrity, or gets it while it is
# in use; its percentage comes to 100; damage in a leg is found, counted and mended, and the leg stays; it is
# extended; integrity is taken away again, and the volume removed. Data is right all the time, and every tag
# of every leg. In the long form the kernel's own target opens the same volumes.
# kernels: 6.12
# long-kernels: 6.1 debug
# long: yes
# cpus: 1
# timeout: 400

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

type=raid1
create_args=(-m 1)
md=raid1
mib=24
modules=(raid1 dm-raid)
ramdisk 96 2
disks=(/dev/ram0 /dev/ram1)
. "$DMI_TOP/tests/vm/lvm.sh"

lvm_ vgcreate -s 1M vg "${disks[@]}"
made_with bitmap B
taken_away
gets journal J
tags_right
expect_eq "$(sum_of $lv)" "$want" "contents when opened again"
if [ -n "${DMI_LONG:-}" ]; then
	heals
	by_intree
	taken_away
	removed
	made_with journal J
	by_intree
	tags_right
	taken_away
	gets bitmap B
	by_intree
	heals
	tags_right
	removed
	create
	fill $lv $mib 1
	gets bitmap B
	extends
	tags_right
fi
removed
lvm_ vgremove vg
