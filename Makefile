# SPDX-License-Identifier: GPL-2.0-only
#
#	make			dm_integrity.ko for the running kernel, in build/KVER
#	make KVER=release	... for another installed kernel
#	make KDIR=tree		... for a kernel's build tree
#	make install		into /lib/modules/KVER/updates, where modprobe prefers it, with its
#				manual (DESTDIR and INSTALL_MOD_PATH are honoured); uninstall undoes it
#	make tools		integrityctl, in build/tools
#	make install-tools	it and what belongs to it, below PREFIX (/usr/local)
#	make install-dkms	the module's source, for dkms to build, and its manual
#	make uninstall-tools uninstall-dkms	undo these two
#	make deb		Debian packages of both, in build/deb
#	make setup		prepares a Debian 12 machine for all that follows
#	make lab		dm_integrity.ko for each kernel of the guest lab
#	make check		everything that must pass; check-long: with the long tests
#	make sparse style	parts of check
#	make coverage		what of the module the tests run; TESTS= only some
#	make bench demo		figures; the module at work in a guest
#	make clean
#
# Sources are copied to the build folder and compiled there, with W=1; a warning
# is an error. So builds for several kernels never meet.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.ONESHELL:

ifdef KDIR
KVER ?= $(shell cat "$(KDIR)/include/config/kernel.release")
else
KVER ?= $(shell uname -r)
KDIR := /lib/modules/$(KVER)/build
endif

LAB := $(shell . tests/vm/lab.sh && echo "$$LAB")
LAB_KERNELS := $(shell . tests/vm/lab.sh && echo "$${LAB_KERNELS[*]}")
LAB_LONG_KERNELS := $(shell . tests/vm/lab.sh && echo "$${LAB_LONG_KERNELS[*]}")
LAB_ALL := $(LAB_KERNELS) $(LAB_LONG_KERNELS)

# What a build needs of the tree; what in-place builds leave behind stays out.
SOURCES := $(wildcard *.c *.h Kbuild) \
	$(shell find compat -type f ! -name '*.o' ! -name '.*' ! -name '*.mod*' ! -name '*generated*' 2>/dev/null)
SOURCES := $(filter-out %.mod.c,$(SOURCES))

.PHONY: all module install install-man uninstall tools install-tools uninstall-tools install-dkms \
	uninstall-dkms deb setup lab $(LAB_ALL:%=lab-%) $(LAB_ALL:%=ready-%) check check-long \
	sparse style coverage bench demo clean

all: module

# $(call copy_sources,folder): only what differs is touched, so make compiles
# only that; sources that are gone disappear there too.
define copy_sources
mkdir -p $(1)
for f in $(SOURCES); do
	cmp -s "$$f" "$(1)/$$f" || { mkdir -p "$(1)/$$(dirname "$$f")"; cp "$$f" "$(1)/$$f"; }
done
for f in $(1)/*.[ch]; do
	case "$$f" in *.mod.c) continue ;; esac
	[ -e "$${f#$(1)/}" ] || rm -f "$$f" "$${f%.c}.o"
done
endef

# $(call build,folder,kernel tree): fails on a warning, and leaves nothing that
# would let the next run pass without showing it again.
define build
$(call copy_sources,$(1))
if ! $(MAKE) --no-print-directory -C $(2) M=$(abspath $(1)) W=1 modules 2>&1 | tee $(1)/build.log |
     sed -e '/^make/d' -e 's,$(abspath $(1))/,,g' -e 's/^/  /' ||
   [ -n "$$(grep -i 'warning:' $(1)/build.log | grep -v 'the compiler differs')" ]; then
	rm -f $(1)/*.o $(1)/*.ko
	echo "make: errors or warnings, see $(1)/build.log" >&2
	exit 1
fi
endef

module:
	@if [ ! -e "$(KDIR)/Makefile" ]; then
		echo "make: no build tree of kernel $(KVER) at $(KDIR): install its headers, or give KVER= or KDIR=" >&2
		exit 1
	fi
	$(call build,build/$(KVER),$(KDIR))

PREFIX ?= /usr/local
MODULE_ROOT = $(DESTDIR)$(INSTALL_MOD_PATH)
MODULE_DIR = $(MODULE_ROOT)/lib/modules/$(KVER)/updates
MODULE_MAN = $(MODULE_ROOT)$(PREFIX)/share/man/man4/dm-integrity.4

install: module install-man
	install -D -m 644 build/$(KVER)/dm_integrity.ko $(MODULE_DIR)/dm_integrity.ko
	depmod $(if $(MODULE_ROOT),-b $(MODULE_ROOT)) $(KVER)

install-man:
	install -D -m 644 Documentation/dm-integrity.4 $(MODULE_MAN)

# The manual goes with the last that it came with: modules, and the source for dkms.
define remove_man
[ -e "$(DKMS_DIR)" ] || compgen -G "$(MODULE_ROOT)/lib/modules/*/updates/dm_integrity.ko" > /dev/null ||
	rm -f $(MODULE_MAN)
endef

uninstall:
	rm -f $(MODULE_DIR)/dm_integrity.ko
	$(remove_man)
	depmod $(if $(MODULE_ROOT),-b $(MODULE_ROOT)) $(KVER)

# debian/changelog is where the version is.
VERSION := $(shell sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
UNITDIR ?= $(PREFIX)/lib/systemd/system

TOOL_CFLAGS := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -DVERSION='"$(VERSION)"'
CFLAGS ?= -g -O2

tools: build/tools/integrityctl

build/tools/integrityctl: $(wildcard tools/*.c tools/*.h) debian/changelog
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(TOOL_CFLAGS) $(LDFLAGS) -o $@ $(filter %.c,$^) -ldevmapper

# What is installed beside the units: mode, file, and where below PREFIX.
TOOL_FILES := 755:build/tools/integrityctl:sbin/integrityctl \
	755:packaging/dm-integrity-exporter:bin/dm-integrity-exporter \
	644:tools/integrityctl.8:share/man/man8/integrityctl.8 \
	644:tools/integrityctl.bash:share/bash-completion/completions/integrityctl \
	644:tools/integrityctl.schema.json:share/integrityctl/integrityctl.schema.json
UNITS := $(notdir $(wildcard packaging/*.service packaging/*.timer))

install-tools: tools
	for f in $(TOOL_FILES); do
		IFS=: read -r mode file place <<< "$$f"
		install -D -m "$$mode" "$$file" "$(DESTDIR)$(PREFIX)/$$place"
	done
	for unit in $(UNITS); do
		install -D -m 644 "packaging/$$unit" "$(DESTDIR)$(UNITDIR)/$$unit"
		sed -i -e 's,/usr/sbin/,$(PREFIX)/sbin/,' -e 's,/usr/bin/,$(PREFIX)/bin/,' "$(DESTDIR)$(UNITDIR)/$$unit"
	done

uninstall-tools:
	for f in $(TOOL_FILES); do
		rm -f "$(DESTDIR)$(PREFIX)/$${f##*:}"
	done
	for unit in $(UNITS); do
		rm -f "$(DESTDIR)$(UNITDIR)/$$unit"
	done

DKMS_DIR = $(DESTDIR)/usr/src/dm-integrity-$(VERSION)
DEPMOD_CONF = $(DESTDIR)/lib/depmod.d/dm-integrity.conf
# What dkms of this machine says of our version; with DESTDIR it is another machine's.
DKMS_STATUS = $(if $(DESTDIR),,$$(dkms status -m dm-integrity -v $(VERSION) 2> /dev/null || true))
# The Debian package that has the source there.
DKMS_OWNER = $(if $(DESTDIR),,$$(dpkg-query -S $(DKMS_DIR)/dkms.conf 2> /dev/null | sed 's/:.*//' || true))

install-dkms: install-man
	for f in $(SOURCES) COPYING; do
		install -D -m 644 "$$f" "$(DKMS_DIR)/$$f"
	done
	sed 's/#MODULE_VERSION#/$(VERSION)/' packaging/dkms.conf > $(DKMS_DIR)/dkms.conf
	install -D -m 644 packaging/depmod.conf $(DEPMOD_CONF)
	case "$(DKMS_STATUS)" in *built* | *installed*)
		echo "make: dkms has built dm-integrity/$(VERSION) already, and leaves it at that. To have it built again:" >&2
		echo "	dkms remove dm-integrity/$(VERSION) --all" >&2
		echo "	dkms install dm-integrity/$(VERSION)" >&2
	esac

uninstall-dkms:
	if [ -n "$(DKMS_OWNER)" ]; then
		echo "make: $(DKMS_DIR) belongs to $(DKMS_OWNER): remove that package" >&2
		exit 1
	fi
	if [ -n "$(DKMS_STATUS)" ]; then
		dkms remove dm-integrity/$(VERSION) --all
	fi
	rm -rf $(DKMS_DIR)
	rm -f $(DEPMOD_CONF)
	$(remove_man)

# In a copy, since dpkg-buildpackage leaves its results beside the tree.
deb:
	rm -rf build/deb
	mkdir -p build/deb/dm-integrity
	tar -c --exclude=./build --exclude=./.git --exclude='*.pyc' . | tar -x -C build/deb/dm-integrity
	cd build/deb/dm-integrity
	dpkg-buildpackage -us -uc

setup:
	@tests/setup.sh

lab: $(LAB_KERNELS:%=lab-%)

# One at a time each: two makes in one build folder would spoil it.
$(LAB_ALL:%=lab-%): lab-%:
	@mkdir -p build
	exec 9> build/.lock-$*
	flock 9
	$(call build,build/$*,$(LAB)/kernels/$*/build)

# Of sparse's remarks only those on our files count. It runs in a folder of its
# own, since C=2 compiles everything again. Without our own make's flags: with -s
# the kernel's make would not say what it checks.
sparse:
	@dir=build/sparse
	$(call copy_sources,build/sparse)
	MAKEFLAGS= $(MAKE) --no-print-directory -C $(LAB)/kernels/6.12/build M=$(abspath build/sparse) \
		C=2 CF="-D__CHECK_ENDIAN__" modules > $$dir/sparse.log 2>&1 || { cat $$dir/sparse.log; exit 1; }
	grep -q '^  CHECK ' $$dir/sparse.log || { echo "sparse did not run"; exit 1; }
	if grep -E '^$(abspath build/sparse)/.*(warning|error):' $$dir/sparse.log | sed 's,$(abspath build/sparse)/,,'; then
		exit 1
	fi
	echo "sparse: nothing to say on $$(grep -c '^  CHECK ' $$dir/sparse.log) files"

# checkpatch comes with the source of the debug kernel. Ignored:
# - LONG_LINE_STRING: a sentence that a user reads is not split, so that it can be found.
CHECKPATCH = $(LAB)/kernels/debug/build/scripts/checkpatch.pl
CHECKPATCH_IGNORE = LONG_LINE_STRING
# Userspace: it has to define the kernel's macros for attributes, and a signal handler has its volatile flag; PRIu64 is C's.
TOOL_IGNORE = PREFER_DEFINED_ATTRIBUTE_MACRO VOLATILE CAMELCASE
TOOL_SOURCES := $(wildcard tools/*.c tools/*.h)
MODULE_SOURCES := $(filter %.c %.h,$(SOURCES)) $(wildcard tests/coverage/*.c)
SCRIPTS = .ci/run tests/demo/run tests/demo/guest tests/setup.sh tests/vm/lab.sh tests/vm/lib.sh tests/vm/agent \
	tests/vm/guest-init tests/vm/init tests/coverage/run tools/integrityctl.bash debian/integrityctl.postinst \
	debian/integrityctl.prerm debian/integrityctl.postrm

style:
	@mkdir -p build
	status=0
	$(CHECKPATCH) --strict --no-tree --terse --quiet --show-types \
		$(addprefix --ignore ,$(CHECKPATCH_IGNORE)) -f $(MODULE_SOURCES) > build/style.log 2>&1 || status=1
	$(CHECKPATCH) --strict --no-tree --terse --quiet --show-types \
		$(addprefix --ignore ,$(CHECKPATCH_IGNORE) $(TOOL_IGNORE)) -f $(TOOL_SOURCES) >> build/style.log 2>&1 || status=1
	sed '/^total: /d' build/style.log
	shellcheck -x $(SCRIPTS) $(wildcard tests/vm/t/*.sh) || status=1
	[ "$$status" -ne 0 ] || echo "style: nothing to say on $(words $(MODULE_SOURCES) $(TOOL_SOURCES)) files"
	exit "$$status"

check: setup
	@tests/run

check-long: setup
	@tests/setup.sh $(LAB_LONG_KERNELS:%=--kernel %)
	@tests/run --long

# These do without the debug kernel, which takes long to build.
$(LAB_ALL:%=ready-%): ready-%:
	@tests/setup.sh --kernel $*
	$(MAKE) -s lab-$*

coverage: ready-6.12
	@tests/coverage/run $(TESTS)

bench: ready-6.1 ready-6.12
	@tests/bench/run

demo: ready-6.12
	@tests/demo/run

clean:
	rm -rf build
