# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# ext4 and xfs on a volume in mode J survive it when its disk is cut off in the middle of a load of
# creating, writing, flushing, renaming and removing: after the replay no block mismatches, fsck is content,
# every file that was flushed holds what was written, every other can be read, and the oracle finds every
# tag right. Tags are being recalculated meanwhile.
# kernels: 6.12
# long-kernels: 6.1
# timeout: 420
# disks: 340M

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

long=${DMI_LONG:+2}
rounds=${DMI_ROUNDS:-${long:-1}}	# cuts, of each file system
seed=${DMI_SEED:-$(date +%s)}
say "seed $seed"
MIB=340 META=16			# xfs takes no less than 300
data=$(((MIB - META) * 2048)) meta=$((META * 2048))
mnt=$TMPDIR/mnt
mkdir -p "$mnt"
dmesg -n 5
load_ours

# One disk, of which data and tags are parts, so that one cut hits both at the same moment.
dm_create low $((MIB * 2048)) linear /dev/vda 0
dm_create data $data linear /dev/mapper/low 0
dm_create meta $meta linear /dev/mapper/low $data

# cut_off HOW: no write gets to the disk from here on; HOW is drop_writes or error_writes. What is known to be
# durable is read while the disk stands still: a flush that is acknowledged after the cut made nothing durable.
cut_off() {
	dmsetup suspend --noflush --nolockfs low
	cp "$TMPDIR/log" "$TMPDIR/known"
	dmsetup load low --table "0 $((MIB * 2048)) flakey /dev/vda 0 0 1000000 1 $1"
	dmsetup resume low
}

mend() {
	dmsetup suspend low
	dmsetup load low --table "0 $((MIB * 2048)) linear /dev/vda 0"
	dmsetup resume low
	echo 3 > /proc/sys/vm/drop_caches
}

# volume OPTION...: mapped
volume() {
	dm_create v $data "$(table /dev/mapper/data 0 - J internal_hash:crc32c block_size:4096 meta_device:/dev/mapper/meta \
		commit_time:200 "$@")"
}

# Of more files than are looked for a flush is the last word.
enough_flushed() { [ "$(awk '{ last[$2] = $1 } END { for (f in last) n += last[f] == "D"; print n + 0 }' "$TMPDIR/log")" -ge 13 ]; }

clean() {
	local out
	case $1 in
	ext4) out=$(e2fsck -fn /dev/mapper/v 2>&1) ;;
	xfs) out=$(xfs_repair -n /dev/mapper/v 2>&1) ;;
	esac || fail "$1: fsck: $out"
}

for fs in ext4 xfs; do
	zero /dev/mapper/meta
	volume recalculate journal_sectors:4000
	msg v speed_max 60000
	case $fs in
	ext4) mkfs.ext4 -q -E nodiscard /dev/mapper/v $((300 * 1024))k ;;
	xfs) mkfs.xfs -q -f -K -s size=4096 /dev/mapper/v ;;
	esac
	for ((round = 0; round < rounds; round++)); do
		# One round alone: each way on one of the file systems.
		how=drop_writes
		if [ $((round % 2)) -eq 1 ] || { [ "$rounds" -eq 1 ] && [ $fs = xfs ]; }; then
			how=error_writes
		fi
		mount -t $fs /dev/mapper/v "$mnt"
		rm -rf "${mnt:?}"/* "$TMPDIR/log"
		/usr/bin/python3 "$DMI_TOP/tests/vm/fsload.py" load "$mnt" "$TMPDIR/log" "$seed.$fs.$round" 3 > "$TMPDIR/load" 2>&1 &
		pid=$!
		wait_for enough_flushed 60
		sleep "0.$((RANDOM % 10))"
		cut_off $how
		kill -0 $pid || [ $how = error_writes ] || fail "the load has ended: $(cat "$TMPDIR/load")"
		kill -KILL $pid 2> /dev/null || true
		wait $pid 2> /dev/null || true
		umount "$mnt"
		before=$(dm_status v)
		dm_remove v
		mend

		mark
		volume
		read -ra words <<< "$(dm_status v)"
		expect_eq "${words[0]} ${words[8]}" "0 0" "mismatches and lost entries after the cut"
		expect_log 'journal: replayed [1-9]'
		# The file system's own journal first.
		mount -t $fs /dev/mapper/v "$mnt"
		umount "$mnt"
		clean $fs
		mount -t $fs /dev/mapper/v "$mnt"
		/usr/bin/python3 "$DMI_TOP/tests/vm/fsload.py" verify "$mnt" "$TMPDIR/known" || fail "$fs, round $round"
		umount "$mnt"
		expect_eq "$(dm_field v 1)" 0 "mismatches"
		expect_no_log 'Checksum failed'
		say "$fs, $how: $(wc -l < "$TMPDIR/known") steps; before: $before; $(dmesg_since | grep -o 'journal: replayed.*')"
	done
	msg v speed_max 0
	wait_pass v 60
	dm_remove v
	oracle_check /dev/mapper/data --meta /dev/mapper/meta --hash crc32c --all
done
