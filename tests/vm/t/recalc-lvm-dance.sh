# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# What LVM does with a volume: `recalculate` at the first activation only. Removed part
# way and loaded without the word, the pass continues; handed half done to the kernel's
# own target and back, it continues, too; extended, it continues with the tail by
# itself. The third word of the status goes up to the second and stays there.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

SMALL=$((32 * 2048)) BIG=$((40 * 2048))
# KiB/s, so that half a dozen programs start before it is over.
SPEED=800
[ "$DMI_KERNEL" != debug ] || SPEED=250
load_ours
ramdisk 44 2
fill /dev/ram0 44

# As lib/activate builds it: tag 4, fix_padding, block_size and the hash named; metadata zeroed.
lvm() { table /dev/mapper/rimage 0 4 "$MODE" fix_padding block_size:512 internal_hash:crc32c meta_device:/dev/ram1 "$@"; }
MODE=J		# which LVM uses

dm_create rimage $SMALL linear /dev/ram0 0
dm_create v $SMALL "$(lvm recalculate no_recalculate)"
expect_eq "$(sb_now /dev/ram1 version)" 2 "superblock version"
expect_eq "$(sb_now /dev/ram1 provided)" $SMALL "size"

# percent NAME: as LVM computes it from three words of the status
percent() {
	dm_status v | awk '{ print $3 == "-" || $3 == 0 ? "none" : $3 == $2 ? 100 : int($3 * 100 / $2) }'
}

# part_way: lets the pass go a little further and takes the volume down; says where it stood
last=0
part_way() {
	local from
	msg v speed_max $SPEED
	from=$(pass_mark v)
	[ "$from" -ge "$last" ] || fail "the pass went back to $from, it was at $last"
	wait_mark v $((from + 2000)) 60
	dm_remove v
	last=$(sb_now /dev/ram1 recalc_sector)
	((last > from && last < SMALL)) || fail "position on the disk: $last, the pass began at $from"
	say "taken down at $last"
}

# create LENGTH: without the word, slowly
create() {
	dm_create v "$1" "$(lvm no_recalculate)"
	msg v speed_max $SPEED
	msg v idle
}

# Damage below the position must survive it all: nothing there is done twice.
msg v speed_max $SPEED
msg v idle
part_way
disk_flip /dev/ram0 100
for _ in 1 2; do
	create $SMALL
	expect_action v recalculate
	part_way
done
create $SMALL
expect_match "$(dm_table v)" ' recalculate' "table without the word"
expect_match "$(dm_status v)" "^0 $SMALL [0-9]+ recalculate [0-9]+/$SMALL " "status"
expect_match "$(percent)" '^[0-9]+$' "percent"
part_way

# The other implementation takes it on, and gives it back.
load_intree
dm_create v $SMALL "$(lvm)"
[ "$(dm_field v 3)" -ge "$last" ] || fail "in-tree is at $(dm_field v 3), we were at $last"
dm_remove v
expect_eq "$(sb_now /dev/ram1 flags)" 2 "flags by in-tree"
[ "$(sb_now /dev/ram1 recalc_sector)" -ge "$last" ] || fail "in-tree stopped before our $last"
say "in-tree stopped at $(sb_now /dev/ram1 recalc_sector)"
[ "$(sb_now /dev/ram1 recalc_sector)" -lt $SMALL ] && last=$(sb_now /dev/ram1 recalc_sector)
# It may have been too fast: then put the position back where ours was, so that ours goes on.
poke /dev/ram1 32 "$(le "$last" 8)"

load_ours
create $SMALL
part_way
mark
dm_create v $SMALL "$(lvm)"
wait_pass v 30
expect_log "recalculation continues at sector $last of $SMALL"
for _ in 1 2 3; do
	expect_eq "$(percent)" 100 "percent"
	expect_match "$(dm_status v)" "^0 $SMALL $SMALL idle $SMALL/$SMALL [0-9]+ 0 - 0\$" "status when over"
	sleep 0.2
done
expect_io EILSEQ read /dev/mapper/v 100 1
dm_remove v
dm_create v $SMALL "$(lvm)"
expect_match "$(dm_status v)" "^0 $SMALL $SMALL idle " "status when loaded again"
disk_flip /dev/ram0 100
expect_io ok read /dev/mapper/v 100 1

# lvextend: below first, then the volume, never with the word.
disk_flip /dev/ram0 200
dmsetup load rimage --table "0 $BIG linear /dev/ram0 0"
dmsetup load v --table "0 $BIG $(lvm no_recalculate)" 2> /dev/null &&
	fail "a length beyond a device that has not grown yet was accepted"
dmsetup suspend v
dmsetup suspend rimage
dmsetup resume rimage
dmsetup load v --table "0 $BIG $(lvm)"
dmsetup resume v
expect_eq "$(sb_now /dev/ram1 provided)" $BIG "size on the disk after lvextend"
wait_pass v 30
expect_eq "$(percent)" 100 "percent"
dd if=/dev/mapper/v of=/dev/null bs=1M iflag=direct skip=1 status=none
expect_io EILSEQ read /dev/mapper/v 200 1
disk_flip /dev/ram0 200
cmp /dev/mapper/v /dev/ram0 -n $((BIG * 512))
expect_eq "$(dm_field v 1)" 1 "mismatches"
dm_remove v
expect_eq "$(sb_now /dev/ram1 flags)" 2 "flags at the end"
oracle_check /dev/mapper/rimage --meta /dev/ram1 --hash crc32c --all

load_intree
dm_create v $BIG "$(lvm)"
cmp /dev/mapper/v /dev/ram0 -n $((BIG * 512))
expect_eq "$(dm_status v)" "0 $BIG $BIG" "status by in-tree"
