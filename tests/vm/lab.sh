# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What every script of the guest lab has to know: where the cache is and what is
# in it. Sourced, never run.

# The cache of kernels, outside the checkout.
LAB=${DM_INTEGRITY_LAB:-${XDG_CACHE_HOME:-$HOME/.cache}/dm-integrity-lab}

# The names of the kernels, everywhere.
# shellcheck disable=SC2034
LAB_KERNELS=(6.1 6.12 debug)
# And those that only tests/run --long takes.
# shellcheck disable=SC2034
LAB_LONG_KERNELS=(kcsan)

# lab_kernel NAME: directory of a kernel in the cache, or a complaint.
lab_kernel() {
	local dir=$LAB/kernels/$1
	if [ ! -e "$dir/release" ]; then
		echo "the lab has no kernel '$1': run tests/setup.sh" >&2
		return 1
	fi
	(cd "$dir" && pwd -P)
}

# lab_release NAME: its uname -r
lab_release() {
	local dir
	dir=$(lab_kernel "$1") && cat "$dir/release"
}
