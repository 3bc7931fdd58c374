# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# A read is verified exactly below the position of the pass: damage below it is
# EILSEQ also in a read that goes on beyond it, damage beyond it is returned as it
# is, to the block; and what was damaged below stays damaged when the pass ends.
# kernels: 6.12
# long-kernels: 6.1 debug
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

load_ours

# straddle DISK META BLOCKSIZE OPTION...
straddle() {
	local disk=$1 meta=$2 bs=$3 spb=$(($3 / 512)) mark length v=/dev/mapper/v below
	shift 3
	[ "$meta" = "$disk" ] || set -- "$@" "meta_device:$meta"
	fill "$disk" 6
	zero "$meta" 65536
	format_volume "$(table "$disk" 0 - D "block_size:$bs" "$@")"
	length=$(sb_now "$meta" provided)
	# Slow, so that it can be stopped somewhere in the middle.
	dm_create v "$length" "$(table "$disk" 0 - D "block_size:$bs" "$@" recalculate no_recalculate)"
	expect_action v frozen
	msg v speed_max 2048
	msg v idle
	wait_mark v $((length / 8)) 20
	msg v frozen
	expect_action v frozen
	mark=$(pass_mark v)
	[ "$mark" -lt $((length - 1024)) ] || fail "the pass was too fast: at $mark of $length"
	expect_eq "$mark" "$(sb_now "$meta" recalc_sector)" "position on the disk"
	expect_eq $((mark % spb)) 0 "position within a block"
	geometry "$meta" v

	# Untouched: everything can be read, in whatever way it lies.
	expect_ios $v <<-END
		ok read 0 $((mark / 8 & ~7))
		ok read $((mark - 64)) 128
		ok read $mark 64
	END

	# The first block beyond, then the last one below.
	disk_flip "$disk" "$(data_sector "$mark")"
	expect_ios $v <<-END
		ok read $((mark - 64)) 128
		ok read $mark $spb
	END
	expect_eq "$(dm_field v 1)" 0 "mismatches after damage beyond the position"
	below=$((mark - spb))
	disk_flip "$disk" "$(data_sector $below)"
	expect_ios $v <<-END
		EILSEQ read $((mark - 64)) 128
		EILSEQ read $below $((2 * spb))
		EILSEQ read $below $spb
		EILSEQ read $((mark - 64)) 64
		ok read $((mark - 64)) $((64 - spb))
		ok read $mark 64
	END
	expect_eq "$(dm_field v 1)" 4 "mismatches after damage below the position"

	# A write that straddles leaves all of it right.
	expect_ios $v <<-END
		ok write $((mark - 64)) 128
		ok read $((mark - 64)) 128
	END

	disk_flip "$disk" "$(data_sector $below)"
	msg v speed_max 0
	msg v idle
	wait_pass v 20
	expect_ios $v <<-END
		EILSEQ read $below $((2 * spb))
		ok read $mark 64
		ok read $(((mark + length) / 2 & ~7)) 256
	END
	dm_remove v
	say "block size $bs, $*: stopped at $mark of $length"
}

ramdisk 8 3
straddle /dev/ram0 /dev/ram0 512 internal_hash:crc32c interleave_sectors:2048
straddle /dev/ram1 /dev/ram2 4096 internal_hash:sha256
