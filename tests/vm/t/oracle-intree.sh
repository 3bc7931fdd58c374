# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# The oracle is a judge to be trusted: on volumes of the kernel's own target it finds
# every tag right, after damage it finds the same blocks bad as that target does, and
# what it says that a replay of the journal leaves is what the target leaves, byte for
# byte, also where the replay fails in the middle; dirty regions are those written to.
# kernels: 6.12
# long: yes
# cpus: 1
# timeout: 420
# mem: 2048

. "$DMI_TOP/tests/vm/lib.sh"

oracle() { /usr/bin/python3 "$DMI_TOP/tests/oracle/integrity-oracle" "$@"; }

KEY=000102030405060708090a0b0c0d0e0f
HMAC="hmac(sha256):$KEY"
N=0

load_intree
ramdisk 6 12

# volume MODE START META "TABLE OPTIONS" "ORACLE OPTIONS": formats the next disk
# (META: and the one after it, for the metadata), recalculates, leaves it open as $V.
volume() {
	MODE=$1 START=$2 DISK=/dev/ram$N META=
	N=$((N + 1)) SB=$DISK OPTIONS=$4 ORACLE=$5
	if [ "$3" = meta ]; then
		META=/dev/ram$N SB=$META
		N=$((N + 1)) OPTIONS="$OPTIONS meta_device:$META" ORACLE="$ORACLE --meta $META"
	fi
	ORACLE="$ORACLE --start $START"
	V=v$N LENGTH=8
	open recalculate legacy_recalculate
	dm_remove "$V"
	LENGTH=$(dd if="$SB" bs=512 skip="$START" count=1 status=none | od -A n -t u8 -j 16 -N 8 | tr -d ' ')
	open recalculate legacy_recalculate
	# shellcheck disable=SC2016  # it is expanded by each try
	wait_for '[ "$(dm_field "$V" 3)" = "$LENGTH" ]' 60
	say "$V: $MODE $OPTIONS: $LENGTH sectors"
}

# open [OPTION...]: the volume as it is
open() {
	# shellcheck disable=SC2206
	local words=($OPTIONS "$@")
	dm_create "$V" "$LENGTH" integrity "$DISK" "$START" - "$MODE" "${#words[@]}" "${words[@]}"
}

# ask COMMAND [OPTION...]: the oracle, of this volume
# shellcheck disable=SC2086
ask() {
	local command=$1
	shift
	oracle "$command" "$DISK" $ORACLE "$@"
}

# piece_reads SECTOR: can its 4 KiB be read
piece_reads() {
	dd if="/dev/mapper/$V" of=/dev/null bs=4096 skip="$(($1 / 8))" count=1 iflag=direct status=none 2> /dev/null
}

random() { dd if=/dev/urandom of="/dev/mapper/$V" bs=4k seek="$1" count="$2" oflag=direct conv=fsync,notrunc status=none; }

# --- whole, and damaged -------------------------------------------------------

for how in \
	"J 0 - internal_hash:crc32c" \
	"J 0 - internal_hash:sha256|block_size:4096|fix_padding|fix_hmac" \
	"D 16 - internal_hash:$HMAC|block_size:1024|fix_padding|fix_hmac" \
	"J 8 meta internal_hash:xxhash64|block_size:512|journal_mac:$HMAC|fix_hmac"; do
	read -r mode start meta options <<< "$how"
	hash=${options#internal_hash:} mac=
	case $options in *journal_mac*) mac="--journal-mac $HMAC" ;; esac
	volume "$mode" "$start" "$meta" "${options//|/ }" "--hash ${hash%%|*} $mac"
	random 50 100
	dm_remove "$V"
	expect_eq "$(ask check --count-only)" 0 "bad blocks of a whole volume"
	ask corrupt data 72 --byte 5 --xor 80 > /dev/null
	ask corrupt tag 4096 > /dev/null
	ask corrupt tag 8000 > /dev/null
	found=$(ask check) && fail "no damage found"
	expect_match "$found" 'bad_sectors: 72 4096 8000' "what the oracle found"
	open
	for piece in 64 72 80 4088 4096 4104 7992 8000 8008; do
		case $piece in
		72 | 4096 | 8000) ! piece_reads "$piece" || fail "the target reads sector $piece" ;;
		*) piece_reads "$piece" || fail "the target does not read sector $piece" ;;
		esac
	done
	dm_remove "$V"
done

# --- dirty regions ------------------------------------------------------------

volume B 0 - "internal_hash:crc32c block_size:4096 sectors_per_bit:128 bitmap_flush_interval:3600000" "--hash crc32c"
dmsetup suspend "$V"
dmsetup resume "$V"
random 32 1
random 160 40
expect_match "$(ask bitmap --json)" '\{"sector": 256, "sectors": 128\}, \{"sector": 1280, "sectors": 384\}\]' "dirty"
dm_remove "$V"
expect_match "$(ask bitmap)" 'in_use: False' "after a clean end"

# --- replay -------------------------------------------------------------------

# What is on the disk while the journal is full is what a crash would leave.
volume J 0 - "internal_hash:crc32c journal_mac:$HMAC fix_hmac fix_padding interleave_sectors:256
	journal_sectors:2000 journal_watermark:100 commit_time:1000000" "--hash crc32c --journal-mac $HMAC"
random 20 30
random 40 50
random 10 1
dd if="$DISK" of="$TMPDIR/crash" bs=1M status=none
dm_remove "$V"
device=$DISK
for damage in none early late; do
	dd if="$TMPDIR/crash" of="$device" bs=1M conv=fsync status=none
	# Data of entry 60 of the section: in the middle of a run.
	case $damage in
	early) ask corrupt journal 0:68 > /dev/null ;;
	late) ask corrupt journal 3:68 > /dev/null ;;
	esac
	dd if="$device" of="$TMPDIR/want" bs=1M status=none
	DISK=$TMPDIR/want
	status=0
	said=$(ask journal --apply) || status=$?
	DISK=$device
	say "damage $damage: status $status, $(grep -E '^(error|changed_count)' <<< "$said" | tr '\n' ' ')"
	expect_eq "$status" "$([ "$damage" = none ] && echo 0 || echo 1)" "status of the oracle's replay"
	open
	if [ "$damage" = none ]; then
		piece_reads 0 || fail "cannot be read after a replay"
	else
		! piece_reads 0 || fail "can be read after a failed replay"
	fi
	dd if="$device" of="$TMPDIR/got" bs=1M iflag=direct status=none
	cmp "$TMPDIR/want" "$TMPDIR/got" || fail "the target's replay is another"
	dm_remove "$V"
done
unload
