import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../config.ts";

/** What a microVM boots, made by set-up (`kernel-main.ts`); its files are never changed once they are there. */
export type Kernel = {
	/** Release and a hash over everything it was made of: `6.1.0-40-cloud-amd64-1f0c…`. */
	readonly version: string;
	/** For `-kernel`. */
	readonly vmlinuz: string;
	/** For `-initrd`. */
	readonly initramfs: string;
	/** For the drive `modules`: an erofs image of `/lib/modules/<release>`. */
	readonly modules: string;
};

export const KERNEL_FILES = { vmlinuz: "vmlinuz", initramfs: "initramfs", modules: "modules.erofs" } as const;

/** The kernel that set-up made last; undefined where it made none. */
export async function openKernel({ data }: Pick<Config, "data">): Promise<Kernel | undefined> {
	const dir = join(data, "kernel");
	const current = join(dir, "current");
	if (!existsSync(current)) return undefined;
	return kernelAt(dir, (await readFile(current, "utf8")).trim());
}

/** A kernel by its version, for what was stored while it ran; undefined where it is gone. */
export function kernelAt(dir: string, version: string): Kernel | undefined {
	const path = (name: string) => join(dir, version, name);
	const { vmlinuz, initramfs, modules } = KERNEL_FILES;
	const kernel = { version, vmlinuz: path(vmlinuz), initramfs: path(initramfs), modules: path(modules) };
	return Object.values(KERNEL_FILES).every((name) => existsSync(path(name))) ? kernel : undefined;
}
