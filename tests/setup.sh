#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Makes a Debian 12 machine ready for the guest lab: installs the packages,
# unpacks the two stock kernels and builds the debug kernel, or the one that looks
# for data races, all of them into a cache outside the checkout. A second run has
# nothing to do and takes a second or two.
#
#	tests/setup.sh [--no-debug] [--kernel NAME]...
#
# --no-debug leaves out the debug kernel (it takes some ten minutes); --kernel
# prepares only the kernels named (6.1, 6.12, debug, kcsan).
#
# The cache, shared by all scripts of the lab (tests/vm/lab.sh says where):
#
#	kernels/NAME		symlink to the current kernel of that name
#	store/KEY/vmlinuz	the kernel
#	store/KEY/release	its release, uname -r
#	store/KEY/build		symlink to the tree to build modules against
#	store/KEY/lib/modules	its modules, mounted at /lib/modules in the guest

set -eu -o pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tests/vm/lab.sh
. "$top/tests/vm/lab.sh"

# What the lab, the builds and the tests call; one group a line.
packages=(
	bash bc coreutils cpio file git jq kmod procps psmisc python3 util-linux xxd
	bison dpkg-dev flex gcc libc6-dev libelf-dev libssl-dev make patch perl rsync xz-utils
	sparse shellcheck clang clang-format libclang-rt-14-dev libdevmapper-dev
	gcc-i686-linux-gnu libc6-dev-i386-cross gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user
	qemu-system-x86 busybox-static
	btrfs-progs cryptsetup-bin dkms dmsetup e2fsprogs fio lvm2 mdadm xfsprogs
	build-essential debhelper dh-dkms groff-base openssl python3-jsonschema systemd tmux
	linux-headers-amd64 linux-headers-6.12-amd64 linux-source-6.12
)

# The meta package of a stock kernel, which depends on the linux-image package of its latest version
declare -A meta=([6.1]=linux-image-amd64 [6.12]=linux-image-6.12-amd64)

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

as_root() {
	if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

apt_install() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "$@"
}

updated=
apt_update() {
	[ -z "$updated" ] || return 1
	updated=yes
	as_root apt-get -q update || die "apt-get update failed"
}

missing_packages() {
	local have p
	have=" $({ dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "$@" 2>/dev/null || true; } |
		 sed -n 's/^ii *//p' | tr '\n' ' ')"
	for p; do
		case "$have" in *" $p "*) ;; *) printf '%s\n' "$p" ;; esac
	done
}

install_packages() {
	local missing
	mapfile -t missing < <(missing_packages "$@")
	[ "${#missing[@]}" -gt 0 ] || return 0
	say "installing ${missing[*]}"
	apt_update || true
	apt_install "${missing[@]}"
}

# Name of the image package that a meta package depends on: the current kernel.
current_image() {
	apt-cache depends --no-recommends --no-suggests "$1" 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1
}

point_to() {	# NAME KEY: make store/KEY the current kernel of that name
	mkdir -p "$LAB/kernels"
	ln -sfn "../store/$2" "$LAB/kernels/$1"
}

stock_kernel() {
	local name=$1 image release key dir tmp
	image=$(current_image "${meta[$name]}")
	if [ -z "$image" ]; then
		apt_update || true
		image=$(current_image "${meta[$name]}")
	fi
	[ -n "$image" ] || die "apt knows no kernel behind ${meta[$name]}"
	release=${image#linux-image-}
	key=$release
	dir=$LAB/store/$key
	install_packages "linux-headers-$release"
	if [ ! -e "$dir/release" ]; then
		say "unpacking $image for $name"
		tmp=$LAB/tmp.$$
		rm -rf "$tmp" "$dir"
		mkdir -p "$tmp" "$dir"
		(cd "$tmp" && { apt-get -q download "$image-unsigned" ||
			{ apt_update && apt-get -q download "$image-unsigned"; }; })
		dpkg -x "$tmp"/linux-image-*.deb "$tmp/root"
		mv "$tmp/root/lib" "$dir/lib"
		mv "$tmp/root/boot/vmlinuz-$release" "$dir/vmlinuz"
		mv "$tmp/root/boot/config-$release" "$dir/config"
		rm -rf "$tmp"
		rm -f "$dir/lib/modules/$release"/{build,source}
		depmod -b "$dir" "$release"
		ln -sfn "/usr/src/linux-headers-$release" "$dir/build"
		echo "$release" > "$dir/release"
	fi
	point_to "$name" "$key"
}

# Half of the files, and the configuration has none of them; their Kconfig and make files stay.
left_out=()
for folder in 'arch/[!x]*' drivers/{accel,clk,gpu/drm,iio,infiniband,media,net/ethernet,net/wireless,staging} sound samples \
	Documentation tools/testing; do
	for files in '*.[chS]' '*.dts*' '*.rst' '*.yaml' '*.json'; do
		left_out+=("--exclude=linux-source-6.12/$folder/$files")
	done
done

# wanted CONFIG...: the lines of the files, each overriding those before it
wanted() {
	awk '/^CONFIG_/ { option = $0; sub(/=.*/, "", option); want[option] = $0 }
		/^# CONFIG_.* is not set$/ { want[$2] = $0 }
		END { for (option in want) print want[option] }' "$@"
}

# own_kernel NAME CONFIG...: one with a configuration of ours. It is built in its source tree, which
# then shrinks to what building a module against it needs.
own_kernel() {
	local name=$1 version key dir tree missing option
	shift
	version=$(dpkg-query -W -f '${Version}' linux-source-6.12)
	key=$name-$version-$(cat "$@" | sha256sum | cut -c1-12)
	dir=$LAB/store/$key
	if [ ! -e "$dir/release" ]; then
		say "building the $name kernel (some ten minutes, once); log: $dir/build.log"
		rm -rf "$dir"
		mkdir -p "$dir/tree"
		tree=$dir/tree
		# Without the sources of what is not configured: unpacking all takes minutes.
		tar -C "$tree" --strip-components=1 --anchored "${left_out[@]}" \
			-xf /usr/src/linux-source-6.12.tar.xz
		{
			make -C "$tree" tinyconfig
			(cd "$tree" && scripts/kconfig/merge_config.sh -m .config "$@")
			make -C "$tree" olddefconfig
		} > "$dir/build.log" 2>&1 || { tail -n 20 "$dir/build.log"; die "configuring the $name kernel failed"; }
		missing=
		while read -r option; do
			if [[ $option = "#"* ]]; then
				option=${option#"# "}
				! grep -q "^${option% is not set}=" "$tree/.config" || missing+=" no ${option% is not set}"
			else
				grep -qxF "$option" "$tree/.config" || missing+=" $option"
			fi
		done < <(wanted "$@")
		[ -z "$missing" ] || die "the configuration lost:$missing"
		nice -n 10 make -C "$tree" -j"$(nproc)" bzImage modules >> "$dir/build.log" 2>&1 ||
			{ tail -n 30 "$dir/build.log"; die "building the $name kernel failed"; }
		make -C "$tree" INSTALL_MOD_PATH="$dir" modules_install >> "$dir/build.log" 2>&1
		cp "$tree/arch/x86/boot/bzImage" "$dir/vmlinuz"
		cp "$tree/.config" "$dir/config"
		cp "$tree/System.map" "$dir/System.map"
		rm -f "$dir"/lib/modules/*/{build,source}
		shrink_tree "$tree"
		ln -sfn tree "$dir/build"
		make -s -C "$tree" kernelrelease > "$dir/release.new"
		mv "$dir/release.new" "$dir/release"
	fi
	point_to "$name" "$key"
}

shrink_tree() {
	local tree=$1
	rm -rf "$tree"/{Documentation,sound,samples,LICENSES,rust} "$tree/vmlinux" "$tree"/vmlinux.*
	find "$tree" -type f -not -path "$tree/scripts/*" -not -path "$tree/tools/*" \
		\( -name '*.o' -o -name '.*.cmd' -o -name '*.a' -o -name '*.ko' -o -name '*.mod.c' \
		   -o -name '*.[cS]' \) -delete
}

kernels=()
with_debug=yes
while [ $# -gt 0 ]; do
	case "$1" in
	--no-debug) with_debug= ;;
	--kernel) kernels+=("$2"); shift ;;
	*) die "unknown argument $1" ;;
	esac
	shift
done
if [ "${#kernels[@]}" -eq 0 ]; then
	kernels=(6.1 6.12)
	[ -z "$with_debug" ] || kernels+=(debug)
fi

mkdir -p "$LAB"
install_packages "${packages[@]}"
for k in "${kernels[@]}"; do
	exec 9> "$LAB/lock.$k"
	if ! flock -n 9; then
		say "another set-up is at work on $k, waiting for it"
		flock 9
	fi
	case "$k" in
	6.1|6.12) stock_kernel "$k" ;;
	debug) own_kernel debug "$top/tests/vm/debug.config" ;;
	kcsan) own_kernel kcsan "$top"/tests/vm/{debug,kcsan}.config ;;
	*) die "there is no kernel named $k here: 6.1, 6.12, debug, kcsan" ;;
	esac
done
