# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Helpers for the tests that run in a guest; every tests/vm/t/NAME.sh that does
# not say `# host: yes` begins with
#
#	. "$DMI_TOP/tests/vm/lib.sh"
#
# A test runs with errexit, nounset and pipefail; what goes wrong is printed with
# its line. It has TMPDIR, an empty folder in RAM of its own. The agent takes
# down devices and modules that are left at the end.

set -eu -o pipefail -E
trap 'echo "FAILED at ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND" >&2' ERR

fail() {
	echo "FAILED: $*" >&2
	trap - ERR
	exit 1
}

say() { printf '%s\n' "$*"; }

# expect_eq ACTUAL EXPECTED [WHAT]
expect_eq() {
	[ "$1" = "$2" ] || fail "${3:-value}: is '$1', expected '$2'"
}

# expect_match TEXT REGEX [WHAT]
expect_match() {
	[[ $1 =~ $2 ]] || fail "${3:-text}: '$1' does not match '$2'"
}

# expect_fail COMMAND...: it must fail by itself, not by a signal. What it
# printed is left in $OUTPUT.
expect_fail() {
	local status=0
	OUTPUT=$("$@" 2>&1) || status=$?
	[ "$status" -ne 0 ] || fail "succeeded, but must not: $*"
	[ "$status" -lt 126 ] || fail "ended with status $status: $*: $OUTPUT"
}

# nap SECONDS: sleeps without starting a program, which takes longer than that in an emulated guest
exec {NEVER}<> <(:)
nap() { read -rt "$1" -u "$NEVER" || true; }

# wait_for 'COMMAND' SECONDS: until it succeeds
wait_for() {
	local end=$((SECONDS + $2))
	until eval "$1" > /dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || fail "not within $2 s: $1"
		nap 0.1
	done
}

# --- kernel log -------------------------------------------------------------

MARK=
# mark: dmesg_since prints what the kernel logs from here on
mark() {
	MARK="dmi-mark: $$-$RANDOM-$SECONDS"
	echo "$MARK" > /dev/kmsg
}

dmesg_since() {
	[ -n "$MARK" ] || fail "dmesg_since without mark"
	dmesg | awk -v mark="$MARK" 'seen { print } index($0, mark) { seen = 1 }'
}

# expect_log REGEX / expect_no_log REGEX: extended, since the mark
expect_log() {
	local log
	log=$(dmesg_since)
	grep -qE -- "$1" <<< "$log" || fail "not in the log since the mark: $1; there is: $log"
}

expect_no_log() {
	local log
	log=$(dmesg_since)
	! grep -E -- "$1" <<< "$log" || fail "in the log since the mark: $1"
}

# --- modules ----------------------------------------------------------------

# loaded NAME: is the module loaded
loaded() { [ -e "/sys/module/${1//-/_}" ]; }

# unload: whichever dm_integrity is loaded
unload() {
	! loaded dm_integrity || rmmod dm_integrity
}

# load_ours: our module; the crypto modules come on demand
load_ours() {
	[ -e "$DMI_KO" ] || fail "our module is not built: $DMI_KO"
	unload
	# What ours depends on, so that insmod finds its symbols.
	local needed
	for needed in $(modinfo -F depends "$DMI_KO" | tr ',' ' '); do
		loaded "$needed" || modprobe "$needed"
	done
	modprobe -q crc32c_generic || modprobe crc32c || true
	insmod "$DMI_KO"
	expect_match "$(cat /proc/modules)" 'dm_integrity [^'$'\n'']* \(OE?\)' "ours is loaded"
}

# load_intree: the kernel's own
load_intree() {
	unload
	modprobe dm-integrity
}

# load ours|intree
load() {
	case "$1" in
	ours) load_ours ;;
	intree) load_intree ;;
	*) fail "load: $1?" ;;
	esac
}

# --- block devices ----------------------------------------------------------

# ramdisk MIB [N]: N fresh RAM disks /dev/ram0 ... of that size, all zero
ramdisk() {
	! loaded brd || rmmod brd
	modprobe brd rd_nr="${2:-1}" rd_size=$(($1 * 1024)) max_part=0
	[ -b "/dev/ram$((${2:-1} - 1))" ] || fail "brd made no /dev/ram$((${2:-1} - 1))"
}

# nvme_disk NAME: the device of an NVMe disk of the guest: nva, nvb ...
nvme_disk() {
	local f
	modprobe nvme
	wait_for "grep -qsx '$1 *' /sys/block/nvme*/device/serial" 20
	f=$(grep -lsx "$1 *" /sys/block/nvme*/device/serial)
	f=${f#/sys/block/}
	echo "/dev/${f%%/*}"
}

# sectors DEV: size in 512-byte sectors
sectors() { blockdev --getsz "$1"; }

# dm_status NAME: the target's part of the status line
dm_status() { dmsetup status "$1" | cut -d' ' -f4-; }

# dm_table NAME: the target's part of the table line, keys included
dm_table() { dmsetup table --showkeys "$1" | cut -d' ' -f4-; }

# dm_field NAME N: N-th word of the status, counted from 1
dm_field() { dm_status "$1" | awk -v n="$2" '{ print $n }'; }

# dm_create NAME LENGTH TARGET ARGS...: a device of one target
dm_create() {
	local name=$1 length=$2
	shift 2
	dmsetup create "$name" --table "0 $length $*"
}

# dm_remove NAME...: waits for a device that is still being closed
dm_remove() {
	local name
	for name; do
		dmsetup remove --retry "$name"
	done
}

# zero DEV [BYTES]: from its start
zero() {
	dd if=/dev/zero of="$1" bs=4096 count=$((${2:-1048576} / 4096)) conv=notrunc,fsync status=none
}

# fill DEV MIB [SEED]: reproducible data, written direct
fill() {
	random_stream "$2" "${3:-1}" | dd of="$1" bs=1M iflag=fullblock oflag=direct conv=notrunc,fsync status=none
}

# random_stream MIB SEED: the same bytes each time, fast
random_stream() {
	head -c "$(($1 * 1048576))" /dev/zero |
		openssl enc -aes-128-ctr -nosalt -K "$(printf '%032x' "$2")" -iv "$(printf '%032x' 0)" 2>/dev/null
}

# sum_of DEV [BYTES]: digest of what reading it gives, direct
sum_of() {
	local args=()
	[ $# -lt 2 ] || args=(iflag=count_bytes count="$2")
	dd if="$1" bs=1M iflag=direct status=none "${args[@]}" | sha256sum | cut -d' ' -f1
}

# integrity_sectors DEV: provided_data_sectors in the superblock on DEV
integrity_sectors() {
	local magic
	magic=$(dd if="$1" bs=1 count=8 status=none | tr -d '\0')
	[ "$magic" = integrt ] || fail "no superblock on $1"
	od -A n -t u8 -j 16 -N 8 "$1" | tr -d ' '
}
