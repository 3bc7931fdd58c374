# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# What "make install-dkms" leaves is built by dkms for the kernel and installed by dkms in a guest, with
# the kernel's own module beside it: modprobe and the kernel's autoload take ours, the module works,
# and after "dkms remove" the kernel's own comes back. The override file does the same where depmod
# looks into other folders. dkms builds on the host, an emulated CPU takes minutes for it; in the guest
# with --long.
# kernels: 6.1 6.12
# timeout: 600
# host: yes
# long: yes

cd "$DMI_TOP" || exit 1
. tests/vm/lab.sh
release=$(lab_release "$DMI_KERNEL")
version=$(sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
work=$RESULTS/dkms
mkdir -p "$work/tree"
make -s install-dkms DESTDIR="$work/root"

# A folder of its own in place of /var/lib/dkms, which also gets the key to sign with.
# shellcheck disable=SC2016
[ -n "${DMI_LONG-}" ] || unshare --mount bash -eu -c '
	mkdir -p /var/lib/dkms
	mount --bind "$1/tree" /var/lib/dkms
	dkms add --sourcetree "$1/root/usr/src" -m dm-integrity -v "$2"
	dkms build --sourcetree "$1/root/usr/src" -m dm-integrity -v "$2" -k "$3" || {
		cat /var/lib/dkms/dm-integrity/"$2"/build/make.log
		exit 1
	}' _ "$work" "$version" "$release"

cat > "$work/guest" << 'END'
. "$DMI_TOP/tests/vm/lib.sh"
TMPDIR=$(mktemp -d)
work=$1 version=$2 release=$(uname -r)

# depmod reads every module each time, which takes minutes here: leave only those that matter.
mkdir "$TMPDIR/modules"
(cd "/lib/modules/$release" && tar -c modules.* kernel/drivers/md kernel/drivers/block kernel/crypto kernel/lib \
	kernel/arch/x86/crypto) | tar -x -C "$TMPDIR/modules"
mount --bind "$TMPDIR/modules" "/lib/modules/$release"
depmod "$release"

# What an administrator's machine has: the headers at their place, the source, and dkms.
ln -sfn "/usr/src/linux-headers-$release" "/lib/modules/$release/build"
tar -C "$work/root" -c . | tar -C / -x --keep-directory-symlink
rm -rf /var/lib/dkms
cp -a "$work/tree" /var/lib/dkms
if [ -d "/var/lib/dkms/dm-integrity/$version" ]; then
	ln -sfn "/usr/src/dm-integrity-$version" "/var/lib/dkms/dm-integrity/$version/source"
fi
intree=$(modinfo -n dm-integrity)
expect_match "$intree" "/kernel/drivers/md/dm-integrity.ko" "the kernel's own module"

dkms install -m dm-integrity -v "$version" -k "$release"
expect_match "$(dkms status)" "dm-integrity/$version, ${release//+/.}, .*: installed"
[ -e "$intree" ] || fail "the kernel's own module is gone"
compgen -G "/lib/modules/$release/updates/dkms/dm_integrity.ko*" > /dev/null || fail "not installed: $(find /lib/modules -name 'dm_integrity*')"
for name in dm-integrity dm_integrity dm-target-integrity; do
	expect_match "$(modinfo -n $name)" "updates/dkms/dm_integrity.ko(.xz)?\$" "file of $name"
done

# is_ours: what is loaded is out of tree and takes messages
is_ours() { grep -q '^dm_integrity .*(OE\?)' /proc/modules; }

modprobe dm-integrity
is_ours || fail "modprobe loaded $(grep dm_integrity /proc/modules)"
rmmod dm_integrity
# The kernel asks for it itself; the oldest module, dm_mod, does.
ramdisk 32 1
modprobe dm_mod
dm_create v 8 integrity /dev/ram0 0 4 D 1 internal_hash:crc32c
is_ours || fail "the kernel loaded $(grep dm_integrity /proc/modules)"
dm_remove v
dm_create v "$(integrity_sectors /dev/ram0)" integrity /dev/ram0 0 4 D 2 internal_hash:crc32c recalculate
wait_for '[ "$(dm_field v 4)" = idle ]' 30
expect_eq "$(dm_field v 3)" "$(dm_field v 2)" "position after the recalculation"
dm_remove v
rmmod dm_integrity

# Where depmod does not look into updates/ first, as on other distributions.
grep -rl '^search' /etc/depmod.d /lib/depmod.d 2> /dev/null | xargs -r rm || true
mkdir -p /etc/depmod.d
echo "search built-in updates" > /etc/depmod.d/other.conf
depmod "$release"
expect_match "$(modinfo -n dm-integrity)" "updates/dkms/dm_integrity.ko(.xz)?\$" "with the override"
rm /lib/depmod.d/dm-integrity.conf
depmod "$release"
expect_eq "$(modinfo -n dm-integrity)" "$intree" "without the override"
rm /etc/depmod.d/other.conf

dkms remove -m dm-integrity -v "$version" --all
expect_eq "$(dkms status)" "" "dkms status at the end"
expect_eq "$(modinfo -n dm-integrity)" "$intree" "file after dkms remove"
modprobe dm-integrity
! is_ours || fail "ours is loaded after dkms remove"
rmmod dm_integrity
END
"$DMI_VM" --kernel "$DMI_KERNEL" --timeout 900 --results "$RESULTS/vm" -- bash "$work/guest" "$work" "$version"
