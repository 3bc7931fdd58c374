# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# LUKS2 with authenticated encryption, whose tags come from dm-crypt, works on ours as on the kernel's own
# target: format, open, write, read, close, open again, in modes J and D, in turns by either; and a copy
# of the disk in use, its journal dirty, opens under the other with all that was flushed.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 600

. "$DMI_TOP/tests/vm/lib.sh"
# DMI_PAIR: the two modules
read -ra pair <<< "${DMI_PAIR:-ours intree}"
key=$TMPDIR/key
head -c 32 /dev/urandom > "$key"
ramdisk 22 2
disk=/dev/ram0 copy=/dev/ram1
opened=0

luks() { cryptsetup -q --key-file "$key" "$@"; }

# opens DISK [OPTION...] / closes
opens() {
	local dev=$1
	shift
	luks open "$@" "$dev" crypt
	expect_match "$(dmsetup table crypt_dif)" ' integrity .* [0-9]+ [JD] ' "table below LUKS"
	opened=$((opened + 1))
}

closes() { cryptsetup close crypt; }

# digest of what is in the volume
sum() { sum_of /dev/mapper/crypt; }

# round WHO OPTION...: reads what is there, writes something else, at random places
round() {
	local who=$1 n=$2
	shift 2
	load "$who"
	opens "$disk" "$@"
	[ -z "$last" ] || expect_eq "$(sum)" "$last" "contents for $who, $*"
	random_stream 2 "$n" | dd of=/dev/mapper/crypt bs=64k seek=$((n * 3)) oflag=direct iflag=fullblock conv=notrunc status=none
	random_stream 1 "$((n + 100))" | dd of=/dev/mapper/crypt bs=8k seek=$((n * 40)) oflag=direct iflag=fullblock conv=notrunc,fsync status=none
	last=$(sum)
	expect_eq "$(dm_field crypt_dif 1)" 0 "mismatches"
	closes
}

# dirty WHO OTHER: a crash under one, opened by the other
dirty() {
	load "$1"
	opens "$disk"
	# Of a size that stays in the journal, which is written back when half full.
	dd if=/dev/urandom of=/dev/mapper/crypt bs=4k count=8 seek=100 oflag=direct iflag=fullblock conv=notrunc,fsync status=none
	last=$(sum)
	dd if="$disk" of="$copy" bs=1M iflag=direct oflag=direct status=none
	closes
	load "$2"
	opens "$copy"
	expect_eq "$(sum)" "$last" "contents of a copy of the disk in use under $1, for $2"
	closes
	opens "$copy"
	expect_eq "$(sum)" "$last" "contents of the copy, opened again by $2"
	closes
}

n=0
for how in "--cipher aes-xts-plain64 --key-size 512 --integrity hmac-sha256" "--cipher aes-gcm-random --key-size 256 --integrity aead" \
	"--cipher aes-xts-plain64 --key-size 512 --integrity hmac-sha256 --sector-size 4096"; do
	read -ra words <<< "$how"
	# An emulated CPU takes its time for so many ciphers.
	[ -n "${DMI_LONG:-}" ] || [[ $how != *sector-size* ]] || continue
	# DMI_FULL=yes: begun by each.
	firsts=($((n / 3 % 2)))
	[ -z "${DMI_FULL:-}" ] || firsts=(0 1)
	for first in "${firsts[@]}"; do
		a=${pair[first]} b=${pair[1 - first]}
		load "$a"
		zero "$disk" $((22 << 20))
		luks luksFormat --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "${words[@]}" "$disk"
		last=
		round "$a" $((n + 1))
		round "$b" $((n + 2)) --integrity-no-journal
		if [ -n "${DMI_LONG:-}" ]; then
			round "$a" $((n + 3)) --integrity-no-journal
			round "$b" $((n + 4))
			round "$a" $((n + 5))
		fi
		dirty "$a" "$b"
		n=$((n + 3))
		say "$how, begun by $a: ok"
	done
done
say "opened $opened times"
