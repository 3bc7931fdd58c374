# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# A mismatch is EILSEQ for exactly the I/O that covers the block: counted, logged
# with device and sector, audited; other I/O is fine, and rewriting the block repairs
# it. A buffer that changes during the read is no mismatch; a read that fails is not
# verified; I/O that is not of whole blocks is refused, by the block layer and, where
# that lets it through, by the target.
# kernels: 6.12
# long-kernels: 6.1 debug
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

load_ours
modprobe -q dm-flakey
ramdisk 12 2
V=/dev/mapper/v

# misaligned LENGTH BLOCK TABLE: what the block layer lets through. A device above v that was
# made when v was something else goes by the limits of that; so it is the target that refuses.
# I/O beyond the end does not come to the target in any way that we know: neither load nor
# resume takes a table longer than the volume, and what is beyond the table the core refuses.
misaligned() {
	local length=$1 spb=$2 t=$3 before
	dm_remove v
	dm_create v "$length" linear /dev/ram0 0
	dm_create raw "$length" linear $V 0
	dmsetup load v --table "0 $length $t"
	dmsetup suspend v
	dmsetup resume v
	expect_eq "$(blockdev --getss $V)" $((spb * 512)) "logical block size"
	expect_eq "$(blockdev --getss /dev/mapper/raw)" 512 "logical block size above"
	mark
	before=$(sum_of /dev/ram0)
	expect_ios /dev/mapper/raw <<-END
		EIO read 1 $spb
		EIO read $spb 1
		EIO read 0 $((spb + 1))
		EIO write 1 $spb
		EIO write $spb 1
		EIO write 0 $((spb + 1))
		EIO write $((length - 1)) 1
	END
	for refused in "0x$(printf %x "$spb") sectors at 0x1" "0x1 sectors at 0x$(printf %x "$spb")" \
		"0x1 sectors at 0x$(printf %x $((length - 1)))"; do
		expect_log "integrity: dm-[0-9]+: I/O of $refused is not aligned to blocks of 0x$(printf %x "$spb") sectors"
	done
	expect_eq "$(dm_field v 1)" 0 "mismatches"
	dmsetup suspend v
	dmsetup resume v
	expect_eq "$(sum_of /dev/ram0)" "$before" "the disk after misaligned writes"
	expect_ios /dev/mapper/raw <<-END
		ok read $spb $spb
		ok write $spb $spb
		ok read $spb $spb
	END
	# A table that is shorter than what is mapped above.
	dmsetup load v --table "0 $((length - spb)) $t"
	dmsetup suspend v
	dmsetup resume v
	expect_ios /dev/mapper/raw <<-END
		EIO read $((length - spb)) $spb
		EIO write $((length - spb)) $spb
		ok read $((length - 2 * spb)) $spb
	END
	dm_remove raw
}

# exact BLOCKSIZE META OPTION...
exact() {
	local bs=$1 meta=$2 spb=$(($1 / 512)) length s near status
	shift 2
	fill /dev/ram0 10 "$bs"
	zero /dev/ram0 65536
	zero /dev/ram1 65536
	[ "$meta" = /dev/ram0 ] || set -- "$@" "meta_device:$meta"
	set -- "block_size:$bs" "$@"
	format_volume "$(table /dev/ram0 0 - D "$@")"
	length=$(sb_now "$meta" provided)
	dm_create v "$length" "$(table /dev/ram0 0 - D "$@" recalculate)"
	wait_pass v 60
	geometry "$meta" v
	mark

	# First, in the middle of areas and buffers, at their edges, last; data or tag.
	local sectors=(0 $((8 * spb)) $((2048 - spb)) 4096 $((8192 - spb)) 16384 $((length - spb)))
	for s in "${sectors[@]}"; do
		echo "flip /dev/ram0 $(data_sector "$s")"
	done > "$TMPDIR/io"
	for s in "${sectors[@]}"; do
		echo "EILSEQ read $s $spb"
		for near in $((s - spb)) $((s + spb)); do
			[ "$near" -lt 0 ] || [ "$near" -ge "$length" ] || echo "ok read $near $spb"
		done
	done >> "$TMPDIR/io"
	expect_ios $V < "$TMPDIR/io"
	expect_eq "$(dm_field v 1)" ${#sectors[@]} "mismatches"
	# A larger read has it as a whole, and counts once. Writing the block repairs it.
	{
		echo "EILSEQ read 8128 128"
		for s in "${sectors[@]}"; do
			printf '%s\n' "ok write $s $spb" "ok read $s $spb"
		done
		echo "ok read 8128 128"
	} | expect_ios $V
	for s in "${sectors[@]}"; do
		expect_log "device-mapper: integrity: $DISK: Checksum failed at sector 0x$(printf '%x' "$s")\$"
	done
	expect_eq "$(dm_field v 1)" $((${#sectors[@]} + 1)) "mismatches after the repair"
	msg v reset_mismatches

	# The same for a tag: its one block.
	s=$((100 * spb))
	dm_remove v
	dd if="$meta" bs=512 skip=$(($(tag_byte $s) / 512)) count=1 iflag=direct of="$TMPDIR/tags" status=none
	/usr/bin/python3 - "$TMPDIR/tags" $(($(tag_byte $s) % 512)) <<-'END'
		import sys
		b = bytearray(open(sys.argv[1], "rb").read())
		b[int(sys.argv[2])] ^= 1
		open(sys.argv[1], "wb").write(b)
	END
	dd if="$TMPDIR/tags" of="$meta" bs=512 seek=$(($(tag_byte $s) / 512)) oflag=direct conv=notrunc status=none
	dm_create v "$length" "$(table /dev/ram0 0 - D "$@")"
	expect_ios $V <<-END
		ok read $((s - spb)) $spb
		EILSEQ read $s $spb
		ok read $((s + spb)) $spb
		ok write $s $spb
		ok read $s $spb
	END
	expect_eq "$(dm_field v 1)" 1 "mismatches, of one tag"

	# Not whole blocks: the block layer refuses it by the device's limits, and a table
	# longer than the volume is refused.
	if [ "$meta" = /dev/ram0 ]; then
		! dmsetup create beyond --table "0 $((length + 8)) integrity $(table /dev/ram0 0 - D "$@" |
			cut -d' ' -f2-)" 2> /dev/null || fail "a table longer than the volume is accepted"
	fi
	if [ $spb -gt 1 ]; then
		expect_eq "$(blockdev --getss $V)" "$bs" "logical block size"
		expect_ios $V <<< "EINVAL read 1 $spb"$'\n'"EINVAL write 0 1"
		dm_create raw "$length" linear $V 0
		expect_eq "$(blockdev --getss /dev/mapper/raw)" "$bs" "logical block size above"
		dm_remove raw
		misaligned "$length" $spb "$(table /dev/ram0 0 - D "$@")"
	fi
	dm_remove v
	oracle_check /dev/ram0 ${meta:+$([ "$meta" = /dev/ram0 ] || echo --meta "$meta")} --hash "$HASH" --all
	say "block size $bs, $*: ${#sectors[@]} blocks"
}

# The disk's name in the log is dm-N; the first device made has the lowest number.
DISK=dm-0
HASH=crc32c
exact 4096 /dev/ram0 internal_hash:crc32c interleave_sectors:2048 fix_padding
[ -z "${DMI_LONG:-}" ] || exact 512 /dev/ram1 internal_hash:crc32c
HASH=sha256
[ -z "${DMI_LONG:-}" ] || exact 512 /dev/ram0 internal_hash:sha256 interleave_sectors:8192
exact 512 /dev/ram1 internal_hash:sha256

# --- audit: there is no daemon to send records to here, so they are in the log
wait_for 'dmesg_since | grep -qE "type=1339 .*module=integrity op=integrity-checksum dev=[0-9]+:[0-9]+ sector=16384 res=0"' 5
say "mismatches are audited: $(dmesg_since | grep -c op=integrity-checksum) records"

# --- a buffer that changes while it is read
# A linear device below counts the reads: more than were asked for are the second looks.
dm_create below "$(sectors /dev/ram0)" linear /dev/ram0 0
zero /dev/mapper/below 65536
fill /dev/mapper/below 10
zero /dev/mapper/below 65536
opts=(internal_hash:crc32c block_size:4096)
format_volume "$(table /dev/mapper/below 0 - D "${opts[@]}")"
dm_create v "$(sb_now /dev/mapper/below provided)" "$(table /dev/mapper/below 0 - D "${opts[@]}" recalculate)"
wait_pass v 60
PYTHONPATH=$DMI_TOP/tests/vm /usr/bin/python3 - "$V" <<'END'
from volume import *
second_reads(sys.argv[1], 256 << 10, 8 << 20, lambda: reads("/dev/mapper/below"))
END
expect_eq "$(dm_field v 1)" 0 "mismatches of changing buffers"
dm_remove v below

# --- a read that fails is EIO, and no mismatch
dm_create below "$(sectors /dev/ram0)" linear /dev/ram0 0
dm_create v "$(sb_now /dev/mapper/below provided)" "$(table /dev/mapper/below 0 - D "${opts[@]}")"
geometry /dev/mapper/below v
at=$(data_sector 8000)
dmsetup suspend v
dmsetup suspend below
dmsetup load below <<END
0 $at linear /dev/ram0 0
$at 8 error
$((at + 8)) $(($(sectors /dev/ram0) - at - 8)) linear /dev/ram0 $((at + 8))
END
dmsetup resume below
dmsetup resume v
mark
expect_ios $V <<END
EIO read 8000 8
EIO read 7936 128
ok read 7992 8
ok read 8008 8
EIO write 8000 8
END
expect_eq "$(dm_field v 1)" 0 "mismatches of reads that failed"
expect_no_log 'Checksum failed'
dm_remove v below
