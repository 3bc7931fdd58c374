# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# A device of 16 TiB whose pass begins near its end: positions beyond 2^32 are right in
# data, tags, status and superblock, in both layouts, also where the tags alone take
# more than 2 TiB; and the kernel's own target finds every tag where ours has put it.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

SIZE=$((1 << 35))	# sectors: 16 TiB
TAIL=20000		# sectors that the pass has to do

modprobe -q dm-snapshot
modprobe -q dm-zero
ramdisk 96 2

# sparse NAME SECTORS RAMDISK: zeros, but for what is written
sparse() {
	dm_create "$1-zero" "$2" zero
	zero "$3" 65536
	dm_create "$1" "$2" snapshot "/dev/mapper/$1-zero" "$3" N 16
}

# huge TAG METASECTORS OPTION...: without metadata device when METASECTORS is 0
huge() {
	local tag=$1 metasize=$2 where=(/dev/mapper/data) sbdev=/dev/mapper/data provided from s t
	shift 2
	sparse data $SIZE /dev/ram0
	if [ "$metasize" -gt 0 ]; then
		sparse meta "$metasize" /dev/ram1
		sbdev=/dev/mapper/meta
		set -- "$@" meta_device:$sbdev
		where+=(--meta "$sbdev")
	fi
	load_ours
	t=$(table /dev/mapper/data 0 "$tag" D journal_sectors:1024 "$@")
	format_volume "$t"
	provided=$(sb_now $sbdev provided)
	[ "$provided" -gt $((SIZE / 2)) ] || fail "only $provided sectors"
	from=$((provided - TAIL))
	from=$((from & ~7))
	poke $sbdev 24 "$(le $(($(sb_now $sbdev flags) | 2)) 4)"
	poke $sbdev 32 "$(le $from 8)"

	# Something to make tags of, at the beginning and at the end.
	dm_create v "$provided" "$(table /dev/mapper/data 0 "$tag" D "$@" no_recalculate)"
	expect_eq "$(dm_field v 3)" $from "position"
	fill_at $((provided - 8192)) /dev/mapper/v
	geometry $sbdev v
	dm_remove v
	# The same data again, but past the target: its tags are not known to anybody.
	random_stream 4 9 | dd of=/dev/mapper/data bs=4096 seek=$(($(data_sector $((provided - 8192))) * 512)) \
		oflag=seek_bytes iflag=fullblock conv=notrunc,fsync status=none
	mark
	dm_create v "$provided" "$(table /dev/mapper/data 0 "$tag" D "$@")"
	wait_pass v 60
	expect_log "continues at sector $from of $provided"
	expect_eq "$(dm_status v | cut -d' ' -f1-5)" "0 $provided $provided idle $provided/$provided" "status"
	expect_eq "$(dm_field v 7)" 0 "bad blocks"

	# Reads of the tail are verified, and right; so are writes there, and what is damaged is found.
	read_tail
	s=$((provided - 4096))
	expect_ios /dev/mapper/v <<-END
		ok write $s 64
		ok read $s 64
	END
	# Below, where nothing was ever done, there is no tag.
	expect_ios /dev/mapper/v <<-END
		EILSEQ read $((from - 8)) 8
		EILSEQ read $((from - 8)) 16
		EILSEQ read $(((from & (1 << 32) - 1) & ~7)) 8
	END
	dm_remove v
	expect_eq "$(sb_now $sbdev recalc_sector)" "$provided" "position on the disk"

	load_intree
	dm_create v "$provided" "$(table /dev/mapper/data 0 "$tag" D "$@")"
	read_tail
	expect_io EILSEQ read /dev/mapper/v $((from - 8)) 8
	dm_remove v
	oracle_check "${where[@]}" --hash "$hash" --from $from
	say "$*: $provided sectors, from $from; tag of the last at byte $(tag_byte $((provided - 8)))"
	dm_remove data data-zero
	[ "$metasize" -eq 0 ] || dm_remove meta meta-zero
}

# fill_at SECTOR DEV: 4 MiB of reproducible data there
fill_at() {
	random_stream 4 8 | dd of="$2" bs=1M seek=$(($1 * 512)) oflag=seek_bytes,direct iflag=fullblock conv=notrunc \
		status=none
}

read_tail() {
	dd if=/dev/mapper/v bs=1M skip=$((from * 512)) iflag=direct,skip_bytes of="$TMPDIR/tail" status=none
	expect_eq "$(stat -c %s "$TMPDIR/tail")" $(((provided - from) * 512)) "bytes of the tail"
	expect_eq "$(dm_field v 1)" 0 "mismatches in the tail"
}

hash=crc32c
huge - 0 internal_hash:crc32c block_size:4096 fix_padding
[ -z "${DMI_LONG:-}" ] || huge - $((1 << 26)) internal_hash:crc32c block_size:4096
hash=sha256
# 128 bytes of tag for each sector are 4 TiB.
huge 128 $((9 << 30)) internal_hash:sha256
