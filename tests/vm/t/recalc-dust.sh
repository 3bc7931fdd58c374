# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Sectors that cannot be read until they are written, as those of real disks: the pass skips
# their blocks and ends, reads of them are EIO and no mismatch; writing such a block repairs
# it, data and tag, while the device stays as it is. (dm-dust, which only the debug kernel has.)
# kernels: debug
# cpus: 1
# timeout: 180

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

load_ours
modprobe dm-dust
V=/dev/mapper/v

# dust BLOCKSIZE META OPTION...
dust() {
	local bs=$1 meta=$2 spb=$(($1 / 512)) length s t out
	shift 2
	ramdisk 6 2
	dm_create dust $((6 * 2048)) dust /dev/ram0 0 512
	fill /dev/ram0 6
	fill /dev/ram1 6 2
	zero "$meta" 65536
	t=("block_size:$bs" "$@")
	[ "$meta" = /dev/ram0 ] || t+=("meta_device:$meta")
	format_volume "$(table /dev/mapper/dust 0 - D "${t[@]}")"
	length=$(sb_now "$meta" provided)
	dm_create v "$length" "$(table /dev/mapper/dust 0 - D "${t[@]}" recalculate no_recalculate)"
	geometry "$meta" v
	# In two blocks one sector each, in a third two of them; 8 sectors are one block or many.
	for s in 803 4000 4003 8010; do
		dmsetup message dust 0 addbadblock "$(data_sector $s)"
	done
	dmsetup message dust 0 enable
	msg v idle
	wait_pass v 150
	if [ "$spb" = 8 ]; then
		expect_eq "$(dm_status v | cut -d' ' -f7-8)" "3 800" "bad blocks, and the first"
	else
		expect_eq "$(dm_status v | cut -d' ' -f7-8)" "4 803" "bad blocks, and the first"
	fi
	expect_ios $V <<-END
		EIO read 800 8
		EIO read 4000 8
		EIO read 8008 8
		ok read 792 8
		ok read 808 8
	END
	out=$(dmsetup message dust 0 countbadblocks 2>&1)
	expect_match "$out" "countbadblocks: 4 " "bad sectors before the writes"
	# Writing the block makes the disk replace the sector; data and tag are good from then on.
	expect_ios $V <<-END
		ok write 800 8
		ok read 800 8
		ok write 4000 16
		ok write 8008 8
		ok read 3968 128
		ok read 8008 8
	END
	out=$(dmsetup message dust 0 countbadblocks 2>&1)
	expect_match "$out" "countbadblocks: 0 " "bad sectors after the writes"
	expect_eq "$(dm_field v 1)" 0 "mismatches"
	dm_remove v dust
	oracle_check /dev/ram0 ${meta:+$([ "$meta" = /dev/ram0 ] || echo --meta "$meta")} --hash crc32c --all
	say "block size $bs, $*: done"
}

[ -z "${DMI_LONG:-}" ] || dust 4096 /dev/ram0 internal_hash:crc32c
dust 512 /dev/ram1 internal_hash:crc32c
