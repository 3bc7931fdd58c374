// SPDX-License-Identifier: GPL-2.0-only
/*
 * Notes which blocks of dm_integrity.ko have run, when it is built with gcc's
 * -fsanitize-coverage=trace-pc, which calls a function at the start of each.
 *
 * The map is memory of the host, a device of QEMU (ivshmem-plain): a file that all guests share,
 * so nothing is lost when one crashes or reboots. It has a byte for each byte of the module's text,
 * the text that stays in its first half, the init text in its second. A byte is only ever set to 1,
 * which takes no lock. The map outlives dm_integrity, which may be loaded again.
 */
#include <linux/io.h>
#include <linux/kcov.h>
#include <linux/module.h>
#include <linux/pci.h>

#define IVSHMEM_VENDOR	0x1af4
#define IVSHMEM_DEVICE	0x1110
#define IVSHMEM_BAR	2

#ifdef CONFIG_KCOV
#error "the kernel has this function itself"
#endif

void __sanitizer_cov_trace_pc(void);

static u8 *map;
static unsigned long half;
static unsigned long text, init_text, init_size;

/* From any context; what it knows was there before the first call. */
notrace void __sanitizer_cov_trace_pc(void)
{
	if (_RET_IP_ - init_text < init_size)
		map[half + _RET_IP_ - init_text] = 1;
	else if (_RET_IP_ - text < half)
		map[_RET_IP_ - text] = 1;
}
EXPORT_SYMBOL_GPL(__sanitizer_cov_trace_pc);

static int coming(struct notifier_block *nb, unsigned long state, void *data)
{
	struct module *mod = data;

	if (state == MODULE_STATE_COMING && !strcmp(mod->name, "dm_integrity")) {
		text = (unsigned long)mod->mem[MOD_TEXT].base;
		init_text = (unsigned long)mod->mem[MOD_INIT_TEXT].base;
		init_size = mod->mem[MOD_INIT_TEXT].size;
	}
	return NOTIFY_OK;
}

static struct notifier_block modules = { .notifier_call = coming };

static int __init coverage_init(void)
{
	struct pci_dev *dev = pci_get_device(IVSHMEM_VENDOR, IVSHMEM_DEVICE, NULL);

	if (!dev || pci_enable_device(dev))
		return -ENODEV;
	half = pci_resource_len(dev, IVSHMEM_BAR) / 2;
	map = memremap(pci_resource_start(dev, IVSHMEM_BAR), 2 * half, MEMREMAP_WB);
	if (!map)
		return -ENOMEM;
	return register_module_notifier(&modules);
}
module_init(coverage_init);

/* No exit: what dm_integrity calls has to stay. */
MODULE_DESCRIPTION("Coverage of dm_integrity by its tests");
MODULE_LICENSE("GPL");
