# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# A device below that grew or shrank is taken over by a reload: the new size is in the
# superblock before resume returns; what is new is recalculated by itself, and nothing
# else, when the flag is set; a position beyond the new end comes back to it. After the
# same steps the superblock is the one that the kernel's own target leaves.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

BIG=$((11 * 2048)) SMALL=$((6 * 2048))

# lower SECTORS: size of the device that the volume is on
lower() {
	dmsetup load low --table "0 $1 linear /dev/ram0 0"
	dmsetup suspend low
	dmsetup resume low
	expect_eq "$(sectors /dev/mapper/low)" "$1" "size below"
}

# reload LENGTH OPTION...
reload() {
	local len=$1
	shift
	dmsetup load v --table "0 $len $(table /dev/mapper/low 0 - D "${opts[@]}" "$@")"
	dmsetup resume v
}

finish() {
	if [ "$TARGET" = ours ]; then
		wait_pass v 30
	else
		wait_for "status_is v 3 $(dm_field v 2)" 30
	fi
}

# note LABEL: how the superblock is now; what both targets must agree on
note() {
	sb_read "$sbdev"
	echo "$1: version $(sb_get version) flags $(sb_get flags) provided $(sb_get provided)" \
		"position $(sb_get recalc_sector) status $(dm_status v | cut -d' ' -f2-3)" >> "$TMPDIR/$TARGET.$layout"
	[ "$TARGET" != ours ] || tail -n 1 "$TMPDIR/$TARGET.$layout"
}

random_stream 12 1 > "$TMPDIR/noise"
noise() { dd if="$TMPDIR/noise" of=/dev/ram0 bs=1M oflag=direct conv=notrunc status=none; }

# steps ours|intree LAYOUT
steps() {
	TARGET=$1 layout=$2
	load "$TARGET"
	ramdisk 12 2
	noise
	zero /dev/ram0 65536
	dm_create low $SMALL linear /dev/ram0 0
	opts=(block_size:4096 internal_hash:crc32c)
	if [ "$layout" = separate ]; then
		opts+=(meta_device:/dev/ram1)
		sbdev=/dev/ram1
	else
		opts+=(interleave_sectors:2048)
		sbdev=/dev/mapper/low
	fi
	format_volume "$(table /dev/mapper/low 0 - D "${opts[@]}")"
	small=$(sb_now $sbdev provided)
	dm_create v "$small" "$(table /dev/mapper/low 0 - D "${opts[@]}" recalculate)"
	finish
	note "complete"

	# Grown, loaded as it was: the superblock says so at once, and the tail is made.
	lower $BIG
	reload "$small"
	big=$(sb_now $sbdev provided)
	[ "$big" -gt $((small + 3 * 2048)) ] || fail "after growing: $big, before $small"
	finish
	note "grown"
	reload "$big"
	expect_eq "$(sectors /dev/mapper/v)" "$big" "size of the volume"
	sum_of /dev/mapper/v > /dev/null
	note "loaded larger"

	# What was there before the growth was not touched: damage in it is still found.
	if [ "$TARGET" = ours ]; then
		geometry $sbdev v
		lower $SMALL
		reload $((small))
		note "shrunk"
		expect_eq "$(sb_now $sbdev recalc_sector)" "$small" "position after shrinking"
		expect_action v idle
		disk_flip /dev/ram0 "$(data_sector 4096)"
		disk_flip /dev/ram0 "$(data_sector $((small + 4096)))"
		lower $BIG
		reload "$small"
		finish
		reload "$big"
		expect_ios /dev/mapper/v <<-END
			EILSEQ read 4096 8
			ok read $((small + 4096)) 8
			ok write 4096 8
		END
	else
		lower $SMALL
		reload "$small"
		note "shrunk"
		lower $BIG
		reload "$small"
		finish
		reload "$big"
	fi
	note "grown again"
	dm_remove v

	# The same with the device down in between.
	lower $SMALL
	dm_create v "$small" "$(table /dev/mapper/low 0 - D "${opts[@]}")"
	note "opened shrunk"
	dm_remove v
	lower $BIG
	dm_create v "$small" "$(table /dev/mapper/low 0 - D "${opts[@]}")"
	finish
	note "opened grown"
	dm_remove v
	oracle_check /dev/mapper/low ${layout:+$([ "$layout" = separate ] && echo --meta /dev/ram1)} --hash crc32c --all

	# Without the flag nothing is made of itself; the new end has no tags.
	zero $sbdev 65536
	lower $SMALL
	format_volume "$(table /dev/mapper/low 0 - D "${opts[@]}")"
	dm_create v "$small" "$(table /dev/mapper/low 0 - D "${opts[@]}")"
	lower $BIG
	reload "$small"
	note "no flag, grown"
	reload "$big"
	expect_eq "$(dm_field v 3)" - "position without the flag"
	# The RAM disk has tags of the first run in there: spoil the tag of one new block.
	geometry $sbdev v
	disk_flip /dev/ram0 "$(data_sector $((big - 8)))"
	expect_io EILSEQ read /dev/mapper/v $((big - 8)) 8
	note "no flag, loaded larger"
	# The word then means everything.
	reload "$big" recalculate
	finish
	expect_io ok read /dev/mapper/v $((big - 8)) 8
	note "recalculated"
	dm_remove v

	if [ "$TARGET" = ours ]; then
		# A pass that is under way when the volume shrinks below its position.
		dm_create v "$big" "$(table /dev/mapper/low 0 - D "${opts[@]}" reset_recalculate recalculate no_recalculate)"
		msg v speed_max 4000
		msg v idle
		wait_mark v $((small + 1024)) 30
		msg v frozen
		lower $SMALL
		dmsetup suspend v
		# The live table is longer than the volume now: it serves nothing, and says so.
		dmsetup resume v
		expect_action v Fail
		reload "$small"
		expect_eq "$(sb_now $sbdev provided) $(sb_now $sbdev recalc_sector)" "$small $small" "provided and position"
		pass_over v || fail "after shrinking below the position: $(dm_status v)"
		dm_remove v
	fi
	dm_remove low
}

layouts=(separate)
[ -z "${DMI_LONG:-}" ] || layouts+=(interleaved)
for layout in "${layouts[@]}"; do
	steps intree "$layout"
	steps ours "$layout"
	diff -u "$TMPDIR/intree.$layout" "$TMPDIR/ours.$layout" || fail "$layout: in-tree leaves other superblocks"
done
