# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Helpers for the tests of the background pass, after lib.sh:
#
#	. "$DMI_TOP/tests/vm/pass.sh"
#
# Numbers of sections are those of Documentation/on-disk-format.rst.

# --- volumes ----------------------------------------------------------------

# table DEV START TAG MODE [OPTION...]: prints a table from the target's name on
table() {
	local fixed="$1 $2 $3 $4"
	shift 4
	echo "integrity $fixed $# $*"
}

# format_volume TABLE...: a blank superblock and a table of 8 sectors (1.6)
format_volume() {
	dm_create format 8 "$@"
	dm_remove format
}

# sb_read DEV: the superblock's bytes into SB, past the page cache, which keeps what it
# has while DEV is mapped
sb_read() {
	read -ra SB <<< "$(dd if="$1" bs=4096 count=1 iflag=direct status=none | od -A n -v -t u1 -N 64 -w64)"
}

# sb_get FIELD: of the bytes in SB (1.2), as a decimal number
sb_get() {
	local off size n=0
	case "$1" in
	version) off=8 size=1 ;;
	log2_interleave) off=9 size=1 ;;
	provided) off=16 size=8 ;;
	flags) off=24 size=4 ;;
	log2_spb) off=28 size=1 ;;
	recalc_sector) off=32 size=8 ;;
	*) fail "superblock: field $1?" ;;
	esac
	while [ $size -gt 0 ]; do
		size=$((size - 1))
		n=$((n << 8 | SB[off + size]))
	done
	echo $n
}

# sb_now DEV FIELD: as it is on the disk now
sb_now() {
	local SB
	sb_read "$1"
	sb_get "$2"
}

# poke DEV BYTE HEX: overwrites bytes of a device that is not mapped
poke() {
	local i
	for ((i = 0; i < ${#3}; i += 2)); do
		printf '%b' "\\x${3:i:2}"
	done | dd of="$1" bs=1 seek="$2" conv=notrunc,fsync status=none
}

# le N BYTES: little-endian hex of a number, for poke
le() {
	local n=$1 i
	for ((i = 0; i < $2; i++)); do
		printf '%02x' $((n & 255))
		n=$((n >> 8))
	done
}

# oracle_check IMAGE...: every tag is right, of those below the position or as the options say
oracle_check() {
	local out
	out=$(/usr/bin/python3 "$DMI_TOP/tests/oracle/integrity-oracle" check "$@" 2>&1) ||
		fail "oracle check $*: $out"
}

# events NAME: the device's event counter
events() { dmsetup info -c --noheadings -o events "$1" | tr -d ' '; }

# stat_of NAME: the file with the device's I/O statistics
stat_of() { echo "/sys/block/dm-$(dmsetup info -c --noheadings -o minor "$1" | tr -d ' ')/stat"; }

# --- the pass ---------------------------------------------------------------
#
# Words of the status line: 1 mismatches, 2 provided, 3 position, 4 action,
# 5 done/total, 6 KiB/s, 7 bad, 8 first bad.

# msg NAME WORD...
msg() {
	local name=$1
	shift
	dmsetup message "$name" 0 "$*"
}

pass_mark() { dm_field "$1" 3; }
pass_action() { dm_field "$1" 4; }

is_action() { [ "$(pass_action "$1")" = "$2" ]; }

# expect_action NAME ACTION
expect_action() { expect_eq "$(pass_action "$1")" "$2" "action of $1"; }

# pass_over NAME: has the pass come to its end
pass_over() {
	local status
	read -ra status <<< "$(dm_status "$1")"
	[ "${status[3]}" = idle ] && [ "${status[2]}" = "${status[1]}" ]
}

# wait_pass NAME SECONDS
wait_pass() {
	local end=$((SECONDS + $2))
	until pass_over "$1"; do
		[ "$SECONDS" -lt "$end" ] || fail "the pass of $1 is not over within $2 s: $(dm_status "$1")"
		nap 0.05
	done
}

# status_is NAME N WORD: the N-th word of the status
status_is() { [ "$(dm_field "$1" "$2")" = "$3" ]; }

# wait_mark NAME SECTOR SECONDS: until the position is there or beyond
wait_mark() {
	local end=$((SECONDS + $3))
	until [ "$(pass_mark "$1")" -ge "$2" ]; do
		[ "$SECONDS" -lt "$end" ] || fail "the pass of $1 is not at $2 within $3 s: $(dm_status "$1")"
		nap 0.05
	done
}

# --- the disk -----------------------------------------------------------------

# geometry DEV NAME: sets INIT, RUN, IL, LSPB, TAG and SEPARATE for the mapped volume
# NAME whose superblock is on DEV (section 2)
geometry() {
	local words unit=131072
	read -ra words <<< "$(dm_table "$2")"
	INIT=$(($(grep -o 'journal_sectors:[0-9]*' <<< "${words[*]}" | cut -d: -f2) + 8))
	TAG=${words[2]}
	sb_read "$1"
	IL=$(sb_get log2_interleave)
	LSPB=$(sb_get log2_spb)
	SEPARATE=
	[[ ${words[*]} != *meta_device:* ]] || SEPARATE=yes
	[ $(($(sb_get flags) & 8)) -eq 0 ] || unit=4096
	RUN=$((((TAG << IL) >> LSPB) + unit - 1))
	RUN=$((RUN / unit * unit / 512))
}

# data_sector SECTOR: where the data of a logical sector is (section 2.4)
data_sector() {
	if [ -n "$SEPARATE" ]; then
		echo "$1"
	else
		echo $((INIT + ($1 >> IL << IL) + (($1 >> IL) + 1) * RUN + ($1 & ((1 << IL) - 1))))
	fi
}

# tag_byte SECTOR: where its tag is
tag_byte() {
	if [ -n "$SEPARATE" ]; then
		echo $((512 * INIT + ($1 >> LSPB) * TAG))
	else
		echo $((512 * (INIT + ($1 >> IL) * ((1 << IL) + RUN)) + (($1 & ((1 << IL) - 1)) >> LSPB) * TAG))
	fi
}

# expect_ios DEV: I/O as the lines of standard input say, see io-list
expect_ios() { /usr/bin/python3 "$DMI_TOP/tests/vm/io-list" "$1" || fail "I/O on $1"; }

# expect_io ok|ERRNO read|write DEV SECTOR COUNT
expect_io() { expect_ios "$3" <<< "$1 $2 $4 $5"; }

# disk_flip DEV SECTOR...: inverts sectors of a disk, past the page cache, also below a mapping
disk_flip() {
	local dev=$1
	shift
	printf "flip $dev %s\n" "$@" | expect_ios "$dev"
}

# --- memory -----------------------------------------------------------------

# still_held: prints who in our module allocated what was not freed since. No device
# is left. The kernel was booted with slub_debug=U, which remembers the stack of each
# allocation. Not counted: records for an audit daemon that is not there, what a RAM disk
# keeps for what we wrote to it, addresses of vmalloc, which are freed late, what lives as
# long as the module, and the names of slab caches, which the kernel itself loses when
# their creation fails half way.
still_held() {
	local f
	[ -e /sys/kernel/debug/slab/kmalloc-64/alloc_traces ] || fail "booted without slub_debug=U"
	# What KASAN keeps in quarantine counts as allocated: this empties it.
	for f in /sys/kernel/slab/*/shrink; do
		echo 1 > "$f"
	done
	# A record is a line with the number, and the lines of its stack.
	cat /sys/kernel/debug/slab/*/alloc_traces |
		awk 'function end() {
				if (text ~ /\[dm_integrity\]/ &&
				    text !~ /audit_log_start|brd_insert_page|do_init_module|sysfs_slab_add|alloc_vmap_area/)
					print text
				text = ""
			}
			/^ *[0-9]+ / { end() }
			{ text = text "\n" $0 }
			END { end() }'
}

# kib_used: memory that the kernel holds for itself, after it dropped what it can
kib_used() {
	sync
	echo 3 > /proc/sys/vm/drop_caches
	awk '/^(SUnreclaim|VmallocUsed|KernelStack|Percpu):/ { n += $2 } END { print n }' /proc/meminfo
}
