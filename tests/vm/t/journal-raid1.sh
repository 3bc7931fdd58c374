# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# md raid1 over two volumes in mode J of which both have corrupted blocks, in different places: all data
# read back is right, both legs stay, a check mends what is wrong, and then every tag of both is right.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 180

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

load_ours
modprobe raid1
ramdisk 24 2
for n in 0 1; do
	opts=(internal_hash:crc32c block_size:4096)
	format_volume "$(table /dev/ram$n 0 - J "${opts[@]}" fix_padding interleave_sectors:4096 journal_sectors:800)"
	# So that no block of it mismatches.
	dm_create v$n "$(sb_now /dev/ram$n provided)" "$(table /dev/ram$n 0 - J "${opts[@]}" recalculate)"
	wait_pass v$n 60
done
mdadm --create /dev/md127 --run --metadata=1.2 --bitmap=none --assume-clean --level=1 --raid-devices=2 \
	/dev/mapper/v0 /dev/mapper/v1 > "$TMPDIR/mdadm" 2>&1 || fail "mdadm: $(cat "$TMPDIR/mdadm")"
fill /dev/md127 18 7
want=$(sum_of /dev/md127)

# check: md reads both legs and compares them
check() {
	echo check > /sys/block/md127/md/sync_action
	wait_for "grep -qx idle /sys/block/md127/md/sync_action" 60
}

legs() { grep -A 1 '^md127' /proc/mdstat | tr '\n' ' '; }

# What is at its place is damaged below, not what is still in the journal.
for n in 0 1; do
	dmsetup suspend v$n
	dmsetup resume v$n
	geometry /dev/ram$n v$n
	wrong=()
	for ((k = 0; k < 12; k++)); do
		# Different blocks on the two.
		wrong+=("$(data_sector $((8 * (1000 + 300 * k + 70 * n))))")
	done
	disk_flip /dev/ram$n "${wrong[@]}"
done
echo 3 > /proc/sys/vm/drop_caches
expect_eq "$(sum_of /dev/md127)" "$want" "contents with damage on both legs"
check
found=$(($(dm_field v0 1) + $(dm_field v1 1)))
say "$found mismatches seen; $(legs)"
[ $found -ge 24 ] || fail "only $found mismatches were seen, 24 blocks are damaged"
expect_match "$(legs)" '\[UU\]' "both legs are there"
for n in 0 1; do
	msg v$n reset_mismatches
done
check
expect_eq "$(dm_field v0 1) $(dm_field v1 1)" "0 0" "mismatches after the repair"
expect_eq "$(cat /sys/block/md127/md/mismatch_cnt)" 0 "differences between the legs"
expect_eq "$(sum_of /dev/md127)" "$want" "contents after the repair"
mdadm --stop /dev/md127 > /dev/null 2>&1
for n in 0 1; do
	dm_remove v$n
	oracle_check /dev/ram$n --hash crc32c --all
done
