# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# "make deb" builds the Debian source package and its two packages: they hold what belongs into them, the
# source of the module complete, the tool linked and of the package's version, units that nobody
# enabled, the manuals. In a guest both install, and the tool runs; purged, they leave nothing behind.
# kernels: 6.12
# timeout: 600
# host: yes
# long: yes

cd "$DMI_TOP" || exit 1
export PATH=$PATH:/usr/sbin:/sbin
fail() { echo "FAILED: $*" >&2; exit 1; }
version=$(sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)

make -s deb > "$RESULTS/deb.log" 2>&1 || { cat "$RESULTS/deb.log"; fail "make deb"; }
! grep -E 'warning: |dh_.*: warning|No such file' "$RESULTS/deb.log" || fail "warnings"
out=build/deb
[ -e "$out/dm-integrity_$version.dsc" ] || fail "no source package: $(ls $out)"

# has DEB PATH...: each is in it
has() {
	local deb=$1 path list
	shift
	list=$(dpkg-deb -c "$deb")
	for path; do
		grep -q " \./$path\$" <<< "$list" || fail "$deb has no $path: $list"
	done
}

dkms=$out/dm-integrity-dkms_${version}_all.deb
tool=$(echo "$out"/integrityctl_"${version}"_*.deb)
src=usr/src/dm-integrity-$version
# Everything that a build of the module takes, and no test.
mapfile -t sources < <(find . -maxdepth 1 \( -name '*.[ch]' -o -name Kbuild -o -name COPYING \) -printf '%P\n'; find compat -type f -name '[!.]*' ! -name '*.o')
has "$dkms" "${sources[@]/#/$src/}" "$src/dkms.conf" lib/depmod.d/dm-integrity.conf \
	usr/share/man/man4/dm-integrity.4.gz
list=$(dpkg-deb -c "$dkms")
for file in README.md Documentation/*.rst; do
	# The larger ones are compressed.
	grep -qE " \./usr/share/doc/dm-integrity-dkms/${file##*/}(\.gz)?\$" <<< "$list" || fail "$dkms has no $file"
done
dpkg-deb --fsys-tarfile "$dkms" | tar -xO "./$src/dkms.conf" | grep -qx "PACKAGE_VERSION=\"$version\"" ||
	fail "version in dkms.conf"
[ "$(dpkg-deb -f "$dkms" Version)" = "$version" ] || fail "version of the package"
dpkg-deb -I "$dkms" postinst | grep -q "dm-integrity" || fail "no postinst calls dkms"
dpkg-deb -f "$dkms" Depends | grep -q dkms || fail "no dependency on dkms"
has "$tool" usr/sbin/integrityctl usr/bin/dm-integrity-exporter usr/share/man/man8/integrityctl.8.gz \
	usr/share/bash-completion/completions/integrityctl usr/share/integrityctl/integrityctl.schema.json \
	lib/systemd/system/dm-integrity-check@.service lib/systemd/system/dm-integrity-check@.timer \
	lib/systemd/system/dm-integrity-exporter.service lib/systemd/system/dm-integrity-exporter.timer
dpkg-deb -I "$tool" postinst | grep -q daemon-reload || fail "no postinst has systemd see the units"
dpkg-deb -f "$tool" Depends | grep -q libdevmapper || fail "no dependency on libdevmapper"

cat > "$RESULTS/guest" << 'END'
set -eu
# No kernel here has headers where dkms looks for them, so it does not build: that is what the test dkms
# is about.
export DEBIAN_FRONTEND=noninteractive
# Triggers of other packages (the index of all manuals) take minutes here.
dpkg --no-triggers --force-depends -i "$1" "$2"
integrityctl --version | grep -qx "integrityctl $3"
integrityctl list
dkms status | grep -q "dm-integrity/$3"
wants=/etc/systemd/system/timers.target.wants stamps=/var/lib/systemd/timers metrics=/var/lib/prometheus/node-exporter
[ ! -e "$wants/dm-integrity-exporter.timer" ]
# As if somebody had enabled them, and they had run.
mkdir -p "$wants" "$stamps" "$metrics"
ln -s /lib/systemd/system/dm-integrity-check@.timer "$wants/dm-integrity-check@a\\x2bb.timer"
touch "$stamps/stamp-dm-integrity-check@a\\x2bb.timer" "$metrics/dm-integrity.prom" "$metrics/.dm-integrity-abc"
dpkg --no-triggers -r integrityctl
[ -z "$(find "$metrics" -name '*dm-integrity*')" ]
[ -L "$wants/dm-integrity-check@a\\x2bb.timer" ]
dpkg --no-triggers -P integrityctl dm-integrity-dkms
[ ! -e "/usr/src/dm-integrity-$3" ]
[ ! -e /usr/sbin/integrityctl ]
! find "$wants" "$stamps" "$metrics" -name '*dm-integrity*' | grep .
END
"$DMI_VM" --kernel 6.12 --results "$RESULTS/vm" -- \
	bash "$RESULTS/guest" "$DMI_TOP/$dkms" "$DMI_TOP/$tool" "$version"
rm -rf build/deb
