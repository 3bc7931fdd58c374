# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Bad sectors under data or tags cost what lies on them: the pass skips them, counts
# them, says the first in its status, and ends; all else is served and verified, reads
# of bad blocks are EIO and no mismatch. A tag that cannot be written fails the device,
# visibly; a superblock that cannot be written fails the pass alone.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

load_ours
modprobe -q dm-flakey
MIB=10
V=/dev/mapper/v
ramdisk $MIB 2
random_stream $MIB 1 > "$TMPDIR/noise"

# noise DISK: something to make tags of, and tags that are not right
noise() { dd if="$TMPDIR/noise" of="$1" bs=1M oflag=direct conv=notrunc status=none; }

# holes NAME DISK SECTOR:COUNT...: the disk, with pieces that fail, in ascending order
holes() {
	local name=$1 disk=$2 at=0 hole
	shift 2
	{
		for hole; do
			[ "${hole%:*}" -eq $at ] || echo "$at $((${hole%:*} - at)) linear $disk $at"
			echo "${hole%:*} ${hole#*:} error"
			at=$((${hole%:*} + ${hole#*:}))
		done
		[ "$(sectors "$disk")" -eq $at ] || echo "$at $(($(sectors "$disk") - at)) linear $disk $at"
	} > "$TMPDIR/holes"
	if [ -e "/dev/mapper/$name" ]; then
		dmsetup load "$name" "$TMPDIR/holes"
		dmsetup suspend "$name"
		dmsetup resume "$name"
	else
		dmsetup create "$name" "$TMPDIR/holes"
	fi
}

# volume META BLOCKSIZE OPTION...: a volume on low (and low-meta) without a right tag; sets T and LENGTH
volume() {
	local meta=$1 bs=$2
	shift 2
	holes low /dev/ram0
	holes low-meta /dev/ram1
	noise /dev/mapper/low
	noise /dev/mapper/low-meta
	zero "$meta" 65536
	[ "$meta" = /dev/mapper/low ] || set -- "$@" "meta_device:$meta"
	T=("block_size:$bs" "$@")
	format_volume "$(table /dev/mapper/low 0 - D "${T[@]}")"
	LENGTH=$(sb_now "$meta" provided)
	dm_create v "$LENGTH" "$(table /dev/mapper/low 0 - D "${T[@]}" recalculate no_recalculate)"
	geometry "$meta" v
	mark
}

# bad_data BLOCKSIZE META OPTION...: blocks whose data cannot be read
bad_data() {
	local bs=$1 meta=$2 spb=$(($1 / 512)) blocks=() pieces=() s
	shift 2
	volume "$meta" "$bs" "$@"
	# Alone, at both ends of the volume, in a row, and around the end of a chunk of the pass.
	blocks=(0 160 168 8184 8192 12000 $((LENGTH - spb)))
	for s in "${blocks[@]}"; do
		pieces+=("$(data_sector "$s"):$spb")
	done
	dmsetup suspend v
	holes low /dev/ram0 "${pieces[@]}"
	dmsetup resume v
	msg v idle
	wait_pass v 60
	expect_eq "$(dm_field v 7)" ${#blocks[@]} "bad blocks"
	expect_eq "$(dm_field v 8)" 0 "first bad"
	expect_log "recalculation skips $spb sectors at 0xa0: cannot read their data"
	expect_log "recalculation finished: .* ${#blocks[@]} blocks unreadable"
	{
		printf "EIO read %s $spb\n" "${blocks[@]}"
		echo "EIO read 8128 128"
		# Neighbours are verified: they are right, and damage to them is found.
		printf "ok read %s $spb\n" $spb $((160 - spb)) 176 8176 8200 $((LENGTH - 2 * spb))
	} | expect_ios $V
	expect_eq "$(dm_field v 1)" 0 "mismatches"
	disk_flip /dev/ram0 "$(data_sector 176)"
	expect_ios $V <<-END
		EILSEQ read 176 $spb
		ok write 176 $spb
		ok read 176 $spb
	END
	expect_action v idle
	# The disk is replaced by one that works: a block that was never done has no tag.
	dmsetup suspend v
	holes low /dev/ram0
	dmsetup resume v
	expect_ios $V <<-END
		EILSEQ read 160 $spb
		ok write 160 $spb
		ok read 160 $spb
		EILSEQ read 168 $spb
	END
	# A new pass does what the first had to leave out, and counts from nothing.
	msg v reset_recalculate
	wait_pass v 60
	expect_eq "$(dm_status v | cut -d' ' -f7-8)" "0 -" "bad blocks of the second pass"
	dm_remove v
	oracle_check /dev/mapper/low ${meta:+$([ "$meta" = /dev/mapper/low ] || echo --meta "$meta")} \
		--hash "$HASH" --all
	say "bad data, block size $bs, $*: ${#blocks[@]} blocks"
}

HASH=crc32c
bad_data 4096 /dev/mapper/low internal_hash:crc32c interleave_sectors:4096 fix_padding
if [ -n "${DMI_LONG:-}" ]; then
	HASH=sha256
	bad_data 512 /dev/mapper/low-meta internal_hash:sha256
fi

# --- a tag buffer that cannot be read: 4096 bytes are 1024 tags, of 8192 sectors
HASH=crc32c
volume /dev/mapper/low-meta 4096 internal_hash:crc32c buffer_sectors:8
# An odd position, so that no chunk has a buffer for itself and every one is read first.
msg v speed_max 64
msg v idle
wait_mark v 8 20
msg v frozen
[ "$(pass_mark v)" -lt 8192 ] || fail "the pass was too fast, the buffer is in memory: $(pass_mark v)"
[ $(($(pass_mark v) % 8192)) -ne 0 ] || fail "the pass stopped at the end of a buffer: $(pass_mark v)"
dmsetup suspend v
holes low-meta /dev/ram1 "$((INIT + 8)):1"
dmsetup resume v
msg v speed_max 0
msg v idle
wait_pass v 60
expect_log 'cannot read their tags'
expect_eq "$(dm_field v 7)" 1024 "blocks whose tags cannot be read"
expect_eq "$(dm_field v 8)" 8192 "the first of them"
expect_ios $V <<END
EIO read 8192 8
EIO read 16376 8
EIO write 9000 8
ok read 8184 8
ok read 16384 8
ok write 16384 8
END
expect_eq "$(dm_field v 1)" 0 "mismatches"
expect_action v idle
dm_remove v
say "a bad sector under tags: 1024 blocks"

# --- a tag that cannot be written: the device says so, and stops
volume /dev/mapper/low-meta 4096 internal_hash:crc32c commit_time:600000
msg v speed_max 0
msg v idle
wait_pass v 60
before=$(events v)
# One that fails writes only, from the tags on; the superblock can be written.
cat > "$TMPDIR/flakey" <<END
0 $INIT linear /dev/ram1 0
$INIT $(($(sectors /dev/ram1) - INIT)) flakey /dev/ram1 $INIT 0 1 1 error_writes
END
dmsetup suspend v
dmsetup load low-meta "$TMPDIR/flakey"
dmsetup suspend low-meta
dmsetup resume low-meta
dmsetup resume v
expect_ios $V <<END
ok write 800 8
ok read 800 8
END
expect_action v idle
! LC_ALL=C sync_out=$(sync $V 2>&1) || fail "a flush that lost a tag was acknowledged: $sync_out"
expect_action v Fail
expect_match "$(dm_status v)" "^0 $LENGTH $LENGTH Fail $LENGTH/$LENGTH " "status of a failed device"
expect_ios $V <<END
EIO read 0 8
EIO write 0 8
END
expect_log 'device-mapper: integrity: dm-[0-9]+: Error on writing tags'
wait_for "[ \$(events v) -gt $before ]" 5
! msg v reset_recalculate 2> /dev/null || fail "a failed device took reset_recalculate"
# Another table, and another disk below, is how it goes on; what was lost is found.
dmsetup suspend v
holes low-meta /dev/ram1
dmsetup load v --table "0 $LENGTH $(table /dev/mapper/low 0 - D "${T[@]}")"
dmsetup resume v
expect_action v idle
expect_ios $V <<END
EILSEQ read 800 8
ok read 0 8
END
dm_remove v
say "a tag that cannot be written: the device failed, and came back with a new table"

# --- the same in the middle of a pass
volume /dev/mapper/low-meta 512 internal_hash:sha256
dmsetup suspend v
dmsetup load low-meta "$TMPDIR/flakey"
dmsetup suspend low-meta
dmsetup resume low-meta
dmsetup resume v
msg v idle
wait_for 'is_action v Fail' 30
[ "$(sb_now /dev/mapper/low-meta recalc_sector)" = 0 ] || fail "a position was saved whose tags were not written"
expect_io EIO read $V 0 8
dmsetup suspend v
holes low-meta /dev/ram1
dmsetup load v --table "0 $LENGTH $(table /dev/mapper/low 0 - D "${T[@]}")"
dmsetup resume v
wait_pass v 60
dm_remove v
oracle_check /dev/mapper/low --meta /dev/mapper/low-meta --hash sha256 --all

# --- a superblock that cannot be written: the pass fails, the device goes on
volume /dev/mapper/low-meta 4096 internal_hash:crc32c
cat > "$TMPDIR/flakey" <<END
0 8 flakey /dev/ram1 0 0 1 1 error_writes
8 $(($(sectors /dev/ram1) - 8)) linear /dev/ram1 8
END
dmsetup suspend v
dmsetup load low-meta "$TMPDIR/flakey"
dmsetup suspend low-meta
dmsetup resume low-meta
dmsetup resume v
before=$(events v)
msg v idle
wait_for 'is_action v failed' 30
wait_for "[ \$(events v) -gt $before ]" 5
expect_log 'recalculation failed: saving the position'
expect_ios $V <<END
ok read 0 64
ok write 800 64
ok read 800 64
END
sync $V
expect_action v failed
expect_eq "$(dm_field v 1)" 0 "mismatches"
! msg v reset_recalculate 2> /dev/null || fail "a pass was begun, but that could not be written down"
msg v recalculate
wait_for 'is_action v failed' 30
holes low-meta /dev/ram1
expect_action v failed
msg v recalculate
wait_pass v 60
dm_remove v
oracle_check /dev/mapper/low --meta /dev/mapper/low-meta --hash crc32c --all
say "a superblock that cannot be written: the pass failed, and went on when told to"

dm_remove low low-meta
