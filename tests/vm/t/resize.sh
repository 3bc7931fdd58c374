# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# integritysetup resize: a volume in mode J, B or D, with and without a separate metadata device, takes over a
# device that grew, and its new end is wiped or recalculated; it is made smaller and larger again on the same
# device, and smaller with it; also in the middle of a recalculation. Data stays, every tag is right, and
# superblock, table and sizes are after each step what they are with the kernel's own target. A LUKS2 volume
# with integrity refuses discards and resize as it does there.
# kernels: 6.12
# long-kernels: 6.1 debug
# long: yes
# cpus: 1
# timeout: 600

. "$DMI_TOP/tests/vm/lib.sh"
. "$DMI_TOP/tests/vm/pass.sh"

BIG=$((5 * 2048)) SMALL=$((3 * 2048))

tool() { integritysetup "$@" > "$TMPDIR/tool" 2>&1 || fail "integritysetup $*: $(cat "$TMPDIR/tool")"; }

# lower SECTORS: size of the device that the volume is on
lower() {
	dmsetup load low --table "0 $1 linear /dev/ram0 0"
	dmsetup suspend low
	dmsetup resume low
	expect_eq "$(sectors /dev/mapper/low)" "$1" "size below"
}

# recalculated: nothing is pending
recalculated() {
	local status
	read -ra status <<< "$(dm_status v)"
	[ "${status[2]}" = - ] || [ "${status[2]}" = "${status[1]}" ] && [[ ${status[3]:-idle} = idle ]]
}

# note LABEL: what both targets must agree on
note() {
	local words
	wait_for recalculated 30
	sb_read "$sbdev"
	words=$(dm_table v)
	echo "$1: version $(sb_get version) flags $(sb_get flags) provided $(sb_get provided) position $(sb_get recalc_sector)" \
		"size $(sectors /dev/mapper/v) status $(dm_status v | cut -d' ' -f1-3)" \
		"table $(cut -d' ' -f3-4 <<< "$words") $(tr ' ' '\n' <<< "$words" | grep -E 'recalculate|sectors|block|fix' | sort | tr '\n' ' ')" >> "$TMPDIR/$TARGET"
}

# words MODE: how the tool is told
words() {
	case "$1" in
	J) ;;
	B) echo -B --bitmap-sectors-per-bit 64 ;;
	D) echo -D ;;
	esac
}

# setup LAYOUT WORD...: a fresh volume on a small device; sets sbdev, args, data
setup() {
	layout=$1
	shift
	ramdisk 6 2
	dd if="$TMPDIR/noise" of=/dev/ram0 bs=1M oflag=direct conv=notrunc status=none
	zero /dev/ram0 65536
	dm_create low $SMALL linear /dev/ram0 0
	if [ "$layout" = separate ]; then
		sbdev=/dev/ram1 args=(/dev/ram1 --data-device /dev/mapper/low) images=(/dev/mapper/low --meta /dev/ram1)
		tool format -q --integrity crc32c --sector-size 4096 "$@" "${args[@]}"
	else
		sbdev=/dev/mapper/low args=(/dev/mapper/low) images=(/dev/mapper/low)
		tool format -q --integrity crc32c --sector-size 4096 --interleave-sectors 1024 "$@" "${args[@]}"
	fi
}

opens() { tool open --integrity crc32c "$@" "${args[@]}" v; }

# same SECTORS: the begin of the volume is what was written
same() { expect_eq "$(sum_of /dev/mapper/v $(($1 * 512)))" "$(head -c $(($1 * 512)) "$TMPDIR/data" | sha256sum | cut -d' ' -f1)" "contents, $label"; }

# steps ours|intree MODE LAYOUT [--wipe]
steps() {
	local wipe=${4:+--wipe}
	TARGET=$1 label="$1 $2 $3 ${4:-}"
	load "$TARGET"
	setup "$3"
	# shellcheck disable=SC2046
	opens $(words "$2")
	small=$(sectors /dev/mapper/v)
	dd if="$TMPDIR/data" of=/dev/mapper/v bs=64k count=$((small * 512)) iflag=count_bytes,fullblock oflag=direct conv=notrunc,fsync status=none
	note "$2 $3 $4: opened"

	lower $BIG
	# shellcheck disable=SC2086
	tool resize -q $wipe v
	note "grown"
	big=$(sectors /dev/mapper/v)
	[ "$big" -gt $((small + 3 * 1024)) ] || fail "$label: grown from $small to $big"
	same "$small"
	tail=$(dd if=/dev/mapper/v bs=4096 skip=$((small / 8)) iflag=direct status=none | sha256sum)
	if [ -n "$wipe" ]; then
		expect_eq "$tail" "$(head -c $(((big - small) * 512)) /dev/zero | sha256sum)" "the new end, $label"
	elif [ "$layout" = separate ]; then
		expect_eq "$tail" "$(tail -c +$((small * 512 + 1)) "$TMPDIR/noise" | head -c $(((big - small) * 512)) | sha256sum)" "the new end, $label"
	fi
	expect_eq "$(dm_field v 1)" 0 "mismatches, $label"

	# On the same device.
	tool resize v --size 4096
	expect_eq "$(sectors /dev/mapper/v)" 4096 "size, $label"
	same 4096
	note "smaller"
	tool resize v --device-size 1MiB
	expect_eq "$(sectors /dev/mapper/v)" 2048 "size, $label"
	tool resize v
	expect_eq "$(sectors /dev/mapper/v)" "$big" "size, $label"
	note "as large as possible"
	same "$small"

	# With the device.
	tool resize v --size "$small"
	lower $SMALL
	tool resize v
	expect_eq "$(sectors /dev/mapper/v)" "$small" "size, $label"
	note "shrunk"
	same "$small"
	tool close v
	oracle_check "${images[@]}" --hash crc32c --all
	echo "closed: flags $(sb_now $sbdev flags) provided $(sb_now $sbdev provided) position $(sb_now $sbdev recalc_sector)" >> "$TMPDIR/$TARGET"

	# Where the superblock remembers what has tags, only what is new gets some: damage elsewhere is found.
	if [ -z "$wipe" ]; then
		# shellcheck disable=SC2046
		opens $(words "$2")
		geometry $sbdev v
		disk_flip /dev/ram0 "$(data_sector 2048)"
		lower $BIG
		tool resize v
		note "grown again"
		expect_io EILSEQ read /dev/mapper/v 2048 8
		dd if="$TMPDIR/data" of=/dev/mapper/v bs=4096 skip=256 seek=256 count=1 oflag=direct conv=notrunc,fsync status=none
		same "$small"
		tool close v
		oracle_check "${images[@]}" --hash crc32c --all
	fi

	# And under the other.
	[ "$TARGET" = intree ] || load_intree
	[ "$TARGET" = ours ] || load_ours
	opens
	same "$small"
	expect_eq "$(dm_field v 1)" 0 "mismatches by the other target, $label"
	tool close v
	dm_remove low
}

# In the middle of a recalculation, which goes on.
middle() {
	label="middle, $1 $2"
	setup "$2" --no-wipe
	# shellcheck disable=SC2046
	opens $(words "$1") --integrity-recalculate
	wait_pass v 30
	msg v speed_max 128
	msg v speed_min 128
	msg v reset_recalculate
	wait_mark v 512 30
	lower $BIG
	mark
	tool resize v
	expect_log "recalculation continues at sector [1-9][0-9]* of $(dm_field v 2)"
	wait_pass v 60
	expect_eq "$(sectors /dev/mapper/v)" "$(dm_field v 2)" "size, $label"
	sum_of /dev/mapper/v > /dev/null
	tool close v
	oracle_check "${images[@]}" --hash crc32c --all
	dm_remove low
}

random_stream 6 1 > "$TMPDIR/noise"
random_stream 6 2 > "$TMPDIR/data"
cases=("J interleaved" "B separate wipe")
middles=("D separate")
if [ -n "${DMI_LONG:-}" ]; then
	cases=({J,B,D}\ {interleaved,separate}{,\ wipe})
	middles=({J,B,D}\ {interleaved,separate})
fi
for case in "${cases[@]}"; do
	read -r mode where wipe <<< "$case"
	for module in intree ours; do
		steps "$module" "$mode" "$where" "$wipe"
	done
	diff -u "$TMPDIR/intree" "$TMPDIR/ours" || fail "$case: not as in-tree"
	say "$case: ok"
done
sed 's/^/  /' "$TMPDIR/ours"
load_ours
for case in "${middles[@]}"; do
	# shellcheck disable=SC2086
	middle $case
	say "in the middle of a recalculation, $case: ok"
done

# LUKS2: the tags are dm-crypt's, which has none for what is discarded.
luks() { cryptsetup -q --key-file "$TMPDIR/noise" --keyfile-size 32 "$@"; }
ramdisk 28 1
for module in intree ours; do
	load "$module"
	if [ "$module" = intree ]; then
		luks luksFormat --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --cipher aes-xts-plain64 --key-size 512 \
			--integrity hmac-sha256 --integrity-no-wipe /dev/ram0
	fi
	expect_fail luks open --allow-discards /dev/ram0 crypt
	said="discards: $OUTPUT"
	luks open /dev/ram0 crypt
	fill /dev/mapper/crypt 2 5
	want=$(sum_of /dev/mapper/crypt $((2 << 20)))
	expect_fail blkdiscard /dev/mapper/crypt
	expect_fail luks resize crypt
	said+="; resize: $OUTPUT"
	expect_fail dmsetup create no --table "0 8 $(table /dev/mapper/crypt 0 16 J allow_discards)"
	expect_eq "$(sum_of /dev/mapper/crypt $((2 << 20)))" "$want" "contents after what was refused"
	cryptsetup close crypt
	[ "$module" = intree ] || expect_eq "$said" "$before" "what cryptsetup says"
	before=$said
done
say "LUKS2 with integrity, $said"
