# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# A volume of LVM's whose legs have integrity. Who sources this has set $type, as lvcreate has it, and what else lvcreate
# is told, create_args; $md, what md calls it; modules that it needs; $mib, the volume's size; and disks, one for each leg.
# Of the volume, $lv, legs are the numbers, and $want is the sum of its contents.

load_ours
for module in "${modules[@]}"; do
	modprobe "$module"
done
lv=/dev/vg/lv
legs=("${!disks[@]}")

# What LVM says of file descriptors that it inherits is of no use.
export LVM_SUPPRESS_FD_WARNINGS=1
lvm_() { "$@" > "$TMPDIR/lvm" 2>&1 || fail "$*: $(cat "$TMPDIR/lvm")"; }

# report FIELD...: of volume and images, a line each with the name in front
report() {
	local fields=$1
	shift
	fields+=$(printf ',%s' "$@")
	lvs -a --noheadings --separator ' ' -o "lv_name,${fields%,}" vg | tr -d '[]' | sed -e 's/^ *//' -e '/_imeta\|_iorig\|_rmeta/d'
}

# synced: volume and images are at 100 %
synced() { [ "$(report sync_percent | grep -c ' 100.00$')" = $((${#legs[@]} + 1)) ]; }

wait_synced() {
	wait_for synced 60
	local n
	for n in "${legs[@]}"; do
		expect_match "$(dmsetup status "vg-lv_rimage_$n")" ' integrity [0-9]+ ([0-9]+) \1 idle ' "status of leg $n at 100 %"
	done
}

# expect_legs LETTER: all legs are volumes of ours in that mode, and LVM says so; it takes the blocks of
# the disks where it can
expect_legs() {
	local n mode=bitmap block said
	said=$(report raidintegritymode raidintegrityblocksize)
	block=$(awk '$1 == "lv" { print $3 }' <<< "$said")
	[ "$1" = B ] || mode=journal
	for n in "${legs[@]}"; do
		expect_match "$(dmsetup table "vg-lv_rimage_$n")" " integrity [0-9:]+ 0 4 $1 [0-9]+ meta_device:" "table of leg $n"
		expect_match "$(dmsetup status "vg-lv_rimage_$n")" " integrity [0-9]+ [0-9]+ [0-9]+ [a-z]+ " "status of leg $n"
		[ "$block" = 512 ] || expect_match "$(dmsetup table "vg-lv_rimage_$n")" " block_size:$block( |$)" "table of leg $n"
		expect_eq "$(grep "^lv_rimage_$n " <<< "$said")" "lv_rimage_$n $mode $block" "what LVM says"
	done
	expect_eq "$(grep '^lv ' <<< "$said")" "lv $mode $block" "what LVM says"
}

# all_legs: md has dropped none
all_legs() { expect_match "$(dmsetup status vg-lv)" " raid $md ${#legs[@]} A{${#legs[@]}} " "legs of the array"; }

# checked SECTORS: has md read so much of a leg, and nothing to do
checked() {
	[ "$(awk '{ print $3 }' "$(stat_of vg-lv_rimage_1)")" -ge "$1" ] && [[ "$(dmsetup status vg-lv)" = *" idle "* ]]
}

# check_array: md reads all of each leg
check_array() {
	local before
	before=$(awk '{ print $3 }' "$(stat_of vg-lv_rimage_1)")
	lvm_ lvchange --syncaction check vg/lv
	wait_for "checked $((before + $(sectors /dev/mapper/vg-lv_rimage_1)))" 60
}

# no_integrity: no such device is there
no_integrity() { ! dmsetup table | grep " integrity " || fail "devices are left"; }

# tags_right: closes the volume, and the oracle finds each tag of each leg right; opens it again
tags_right() {
	local n what
	for n in "${legs[@]}"; do
		for what in iorig imeta; do
			dmsetup table "vg-lv_rimage_${n}_$what" > "$TMPDIR/$n.$what"
		done
	done
	lvm_ lvchange -an vg/lv
	no_integrity
	for n in "${legs[@]}"; do
		for what in iorig imeta; do
			dmsetup create "$what" < "$TMPDIR/$n.$what"
		done
		oracle_check /dev/mapper/iorig --meta /dev/mapper/imeta --hash crc32c --all
		dm_remove iorig imeta
	done
	lvm_ lvchange -ay vg/lv
}

# disk_sector LEG SECTOR: where on its disk a leg has it
disk_sector() {
	local start length device offset
	while read -r start length _ device offset; do
		if (($2 >= start && $2 < start + length)); then
			expect_eq "/dev/$(basename "$(readlink "/sys/dev/block/$device")")" "${disks[$1]}" "disk of leg $1"
			echo $((offset + $2 - start))
			return
		fi
	done < <(dmsetup table "vg-lv_rimage_${1}_iorig")
	fail "sector $2 is nowhere"
}

# heals: blocks of all legs are damaged, never two that stand for each other
heals() {
	local n k said where=()
	# So that nothing of it is in the journal.
	lvm_ lvchange -an vg/lv
	lvm_ lvchange -ay vg/lv
	for n in "${legs[@]}"; do
		where=()
		for ((k = 0; k < 12; k++)); do
			where+=("$(disk_sector "$n" $((8 * (500 + 200 * k + 70 * n))))")
		done
		disk_flip "${disks[n]}" "${where[@]}"
	done
	expect_eq "$(report integritymismatches | awk '{ s += $2 } END { print s }')" 0 "mismatches before anything was read"
	expect_eq "$(sum_of $lv)" "$want" "contents with damage on all legs"
	check_array
	said=$(report integritymismatches)
	say "mismatches: ${said//$'\n'/, }"
	for n in "${legs[@]}"; do
		[ "$(awk '$1 == "lv_rimage_'"$n"'" { print $2 }' <<< "$said")" -ge 12 ] || fail "of 12 damaged blocks of leg $n not all are counted: $said"
	done
	expect_eq "$(awk '$1 == "lv" { print $2 }' <<< "$said")" "$(awk '$1 != "lv" { n += $2 } END { print n }' <<< "$said")" "mismatches of the volume"
	all_legs
	for n in "${legs[@]}"; do
		msg "vg-lv_rimage_$n" reset_mismatches
	done
	check_array
	expect_eq "$(report integritymismatches raid_mismatch_count lv_health_status | tr -s ' \n' ' ')" "lv 0 0 $(printf 'lv_rimage_%s 0 ' "${legs[@]}")" "mismatches, differences and health after the repair"
	expect_eq "$(sum_of $lv)" "$want" "contents after the repair"
}

# extends: while it is in use; what is new gets its tags by itself
extends() {
	local old new
	old=$(sectors $lv)
	lvm_ lvextend -L +12M vg/lv
	new=$(sectors $lv)
	expect_eq "$new" $((old + 12 * 2048)) "size after lvextend"
	wait_synced
	expect_eq "$(sum_of $lv $((old * 512)))" "$want" "contents after lvextend"
	random_stream 12 9 | dd of=$lv bs=1M seek=$((old / 2048)) iflag=fullblock oflag=direct conv=notrunc,fsync status=none
	want=$(sum_of $lv)
	all_legs
}

# On 6.1 a volume that is in its first synchronization can hang in md, which waits for its own thread, when LVM takes it
# down to put integrity under it: there is no integrity yet, and the in-tree target does the same.
[ "$DMI_KERNEL" != 6.1 ] || create_args+=(--nosync)

create() { lvm_ lvcreate -y --type "$type" "${create_args[@]}" -L "${mib}M" -n lv "$@" vg; }

# taken_away: integrity goes, the data stays
taken_away() {
	lvm_ lvconvert -y --raidintegrity n vg/lv
	expect_eq "$(sum_of $lv)" "$want" "contents without integrity"
	no_integrity
	expect_eq "$(report raidintegritymode | awk '{ print $2 }' | sort -u)" "" "what LVM says of a volume without integrity"
	all_legs
}

# removed: and nothing of it is left
removed() {
	lvm_ lvremove -y vg/lv
	! dmsetup ls | grep -q '^vg-' || fail "devices are left: $(dmsetup ls)"
}

# made_with MODE LETTER: from the begin
made_with() {
	create --raidintegrity y --raidintegritymode "$1"
	expect_legs "$2"
	wait_synced
	fill $lv "$mib" 1
	want=$(sum_of $lv)
	heals
	extends
}

# gets MODE LETTER: while it is written to
gets() {
	local writer
	while :; do
		random_stream 1 7 | dd of=$lv bs=64k seek=160 iflag=fullblock oflag=direct conv=notrunc status=none
	done &
	writer=$!
	lvm_ lvconvert -y --raidintegrity y --raidintegritymode "$1" vg/lv
	wait_synced
	kill $writer
	wait $writer || true
	random_stream 1 7 | dd of=$lv bs=64k seek=160 iflag=fullblock oflag=direct conv=notrunc,fsync status=none
	expect_legs "$2"
	want=$( (random_stream 10 1; random_stream 1 7; random_stream "$mib" 1 | tail -c +$((11 * 1048576 + 1))
		[ "$(sectors $lv)" = $((mib * 2048)) ] || random_stream 12 9) | sha256sum | cut -d' ' -f1)
	expect_eq "$(sum_of $lv)" "$want" "contents after lvconvert"
	all_legs
}

# by_intree: opened by the kernel's own target
by_intree() {
	lvm_ lvchange -an vg/lv
	load_intree
	lvm_ lvchange -ay vg/lv
	expect_eq "$(sum_of $lv)" "$want" "contents by in-tree"
	expect_eq "$(report integritymismatches | awk '{ s += $2 } END { print s }')" 0 "mismatches by in-tree"
	lvm_ lvchange -an vg/lv
	load_ours
	lvm_ lvchange -ay vg/lv
}

