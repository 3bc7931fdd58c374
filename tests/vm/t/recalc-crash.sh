#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# After a crash at any moment of a pass with writes and flushes, every tag below the
# position on the disk is right, but those of blocks that were written after the last
# flush that was acknowledged; and the next load continues from there, to the end.
# host: yes
# kernels: 6.12
# long-kernels: 6.1 debug
# timeout: 900

# Each boot is one crash for four volumes at once, of different layouts. How often is
# what makes the long version of this test.
boots=${DMI_CRASHES:-5}
tools=$DMI_TOP/tests/vm
names=(a b c d)
options=("internal_hash:crc32c block_size:4096 fix_padding" "internal_hash:sha256 block_size:512 interleave_sectors:2048"
	"internal_hash:crc32c block_size:512" "internal_hash:sha256 block_size:4096 buffer_sectors:8")
hashes=(crc32c sha256 crc32c sha256)

disks=()
for i in "${!names[@]}"; do
	truncate -s 24M "$RESULTS/${names[i]}.data"
	truncate -s 4M "$RESULTS/${names[i]}.meta"
	openssl enc -aes-128-ctr -nosalt -K "0$i" -iv 0 -in /dev/zero 2> /dev/null |
		dd of="$RESULTS/${names[i]}.data" bs=1M count=23 seek=1 iflag=fullblock conv=notrunc status=none || true
	disks+=(--disk "$RESULTS/${names[i]}.data" --disk "$RESULTS/${names[i]}.meta")
	# The last two have their tags on a disk of their own.
	[ "$i" -lt 2 ] || options[i]+=" meta_device:%m"
done

oracle() {
	local i=$1 args=()
	shift
	[ "$i" -lt 2 ] || args=(--meta "$RESULTS/${names[i]}.meta")
	/usr/bin/python3 "$DMI_TOP/tests/oracle/integrity-oracle" "$@" "$RESULTS/${names[i]}.data" "${args[@]}" \
		--hash "${hashes[i]}"
}

# position N: of the pass, on the disk
position() {
	local f=$RESULTS/${names[$1]}.data
	[ "$1" -lt 2 ] || f=$RESULTS/${names[$1]}.meta
	od -A n -t u8 -j 32 -N 8 "$f" | tr -d ' '
}

status=0
moments=0
for ((boot = 0; boot <= boots; boot++)); do
	last=no
	[ $boot -lt "$boots" ] || last=yes
	out=$RESULTS/boot$boot
	mkdir "$out"
	vm=0
	"$DMI_VM" --kernel "$DMI_KERNEL" --results "$out" --console "$RESULTS/console$boot.log" --timeout 150 "${disks[@]}" -- \
		bash "$tools/crash-guest" "$boot" "$last" "${options[@]}" > "$out/out" 2>&1 || vm=$?
	cat "$out/out"
	if [ $last = yes ]; then
		[ $vm -eq 0 ] || { echo "FAILED: the last boot: status $vm"; exit 1; }
	elif [ $vm -ne 200 ]; then
		echo "FAILED: boot $boot ended with status $vm, it should have crashed"
		exit 1
	fi
	for i in "${!names[@]}"; do
		# What was not flushed stays excluded until it is written and flushed again.
		exclude=$RESULTS/${names[i]}.exclude
		/usr/bin/python3 "$tools/crash-writer" exclude "$out/${names[i]}.log" "$exclude" > "$exclude.new"
		mv "$exclude.new" "$exclude"
		args=()
		[ ! -s "$exclude" ] || args=(--exclude "$exclude")
		if ! oracle "$i" check "${args[@]}"; then
			echo "FAILED: volume ${names[i]} after crash $boot at $(position "$i") has wrong tags"
			status=1
		fi
		echo "boot $boot, volume ${names[i]}: position $(position "$i"), $(grep -c ^w "$out/${names[i]}.log") writes," \
			"$(grep -c ^f "$out/${names[i]}.log") flushes, $(wc -l < "$exclude") blocks in doubt"
		[ $last = yes ] || moments=$((moments + 1))
	done
	[ $status -eq 0 ] || exit 1
done
echo "$moments crashes of a volume"
