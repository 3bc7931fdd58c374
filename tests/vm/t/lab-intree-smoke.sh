# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# The lab works: the kernel's own integrity target formats a RAM disk in mode D,
# keeps data, reports a flipped byte as an error, and is taken down again.
# kernels: 6.1 6.12
# cpus: 1

. "$DMI_TOP/tests/vm/lib.sh"

load_intree
ramdisk 32

# One sector first: that formats, and tells how much the disk can hold.
dm_create i 8 integrity /dev/ram0 0 - D 2 internal_hash:crc32c block_size:4096
dm_remove i
length=$(integrity_sectors /dev/ram0)
say "provided: $length sectors of $(sectors /dev/ram0)"
dm_create i "$length" integrity /dev/ram0 0 - D 2 internal_hash:crc32c block_size:4096

fill /dev/mapper/i 4
printf 'a block that can be found\n' | dd of=/dev/mapper/i bs=4096 seek=7 conv=sync,fsync status=none
sum=$(sum_of /dev/mapper/i 4194304)
dm_remove i

dm_create i "$length" integrity /dev/ram0 0 - D 2 internal_hash:crc32c block_size:4096
expect_eq "$(sum_of /dev/mapper/i 4194304)" "$sum" "data after a reload"
expect_eq "$(dm_field i 1)" 0 "mismatches"
dm_remove i

# A byte changed underneath is found out: data stands on the disk as it is.
offset=$(grep -a -b -o -m 1 'a block that can be found' /dev/ram0 | head -n 1 | cut -d: -f1)
say "block 7 is at byte $offset of the disk"
printf 'A' | dd of=/dev/ram0 bs=1 seek="$offset" conv=notrunc,fsync status=none
dm_create i "$length" integrity /dev/ram0 0 - D 2 internal_hash:crc32c block_size:4096
mark
expect_fail dd if=/dev/mapper/i of=/dev/null bs=4096 skip=7 count=1 iflag=direct status=none
expect_log 'integrity: .*Checksum failed'
expect_eq "$(dm_field i 1)" 1 "mismatches"
dm_remove i
unload
