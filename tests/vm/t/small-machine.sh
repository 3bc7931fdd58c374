# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# With 256 MiB of memory, in each mode: while the tags of a volume are made that is larger than the memory, a
# file system on it takes more than the memory holds, and programs write past the page cache. Nothing fails for
# want of memory, all is read back as it was written, the pass comes to its end, and the oracle finds every tag
# right.
# kernels: 6.12
# long-kernels: 6.1
# long: yes
# cpus: 1
# mem: 256
# disks: 512M
# timeout: 600

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

MIB=160		# of a file, in each of two rounds

load_ours
mnt=$TMPDIR/mnt
mkdir "$mnt"
say "$(awk '/MemTotal|MemAvailable/ { print $1, int($2 / 1024), "MiB" }' /proc/meminfo | paste -s -d ' ')"
[ "$(awk '/MemTotal/ { print $2 }' /proc/meminfo)" -lt $((256 << 10)) ] || fail "there is more memory"
read -ra modes <<< "${DMI_MODES:-D J B}"

for mode in "${modes[@]}"; do
	opts=(internal_hash:crc32c block_size:4096 fix_padding)
	zero /dev/vda 65536
	format_volume "$(table /dev/vda 0 - "$mode" "${opts[@]}")"
	mark
	dm_create v "$(sb_now /dev/vda provided)" "$(table /dev/vda 0 - "$mode" "${opts[@]}" recalculate)"
	# Not over before the files are.
	msg v speed_max 1024
	mkfs.ext4 -q -E nodiscard,lazy_itable_init=0 /dev/mapper/v
	mount /dev/mapper/v "$mnt"
	for round in 1 2; do
		random_stream $MIB $round > "$mnt/file$round"
	done &
	writer=$!
	fio --name=direct --filename="$mnt/direct" --size=24M --rw=randwrite --bsrange=4k-64k --blockalign=4k --direct=1 \
		--ioengine=libaio --iodepth=16 --verify=crc32c --verify_fatal=1 --do_verify=1 --minimal > "$TMPDIR/fio" 2>&1 ||
		fail "fio in mode $mode: $(tail -n 5 "$TMPDIR/fio")"
	wait $writer || fail "a file could not be written in mode $mode"
	sync "$mnt"
	is_action v recalculate || fail "the pass was over too soon: $(dm_status v)"
	msg v speed_max 0
	echo 3 > /proc/sys/vm/drop_caches
	for round in 1 2; do
		expect_eq "$(sha256sum < "$mnt/file$round")" "$(random_stream $MIB $round | sha256sum)" "file $round in mode $mode"
	done
	wait_pass v 120
	umount "$mnt"
	fsck.ext4 -fn /dev/mapper/v > "$TMPDIR/fsck" 2>&1 || fail "fsck in mode $mode: $(cat "$TMPDIR/fsck")"
	expect_eq "$(dm_field v 1)" 0 "mismatches in mode $mode"
	expect_eq "$(dm_field v 7)" 0 "bad blocks in mode $mode"
	dm_remove v
	expect_no_log 'allocation failure|[Oo]ut of memory|Checksum failed|cannot '
	oracle_check /dev/vda --hash crc32c --all
	say "mode $mode: ok"
done
