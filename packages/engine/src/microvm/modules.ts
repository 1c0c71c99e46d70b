import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip, zstdDecompress } from "node:zlib";
import { DormiceError } from "@dormice/protocol";
import { execa } from "execa";

/** What a guest needs before it has its root. */
export const BOOT_MODULES = [
	...["virtio_mmio", "virtio_pci", "virtio_blk", "virtio_net", "virtio_rng", "virtio_balloon"],
	...["erofs", "ext4", "overlay"],
];

/** What it is quicker with; not every kernel has them. */
export const USEFUL_MODULES = ["crc32c_intel"];

/** `modules.dep` and `modules.builtin` of a kernel: what each module needs, by name. */
export class ModuleIndex {
	readonly #dir: string;
	/** By name: its file below the directory, then those it needs, as `modules.dep` says them. */
	readonly #files = new Map<string, readonly string[]>();
	readonly #builtin = new Set<string>();

	private constructor(dir: string) {
		this.#dir = dir;
	}

	static async open(dir: string): Promise<ModuleIndex> {
		const index = new ModuleIndex(dir);
		for (const line of (await readFile(join(dir, "modules.dep"), "utf8")).split("\n")) {
			const [file, needs] = line.split(":", 2);
			if (file && needs !== undefined) index.#files.set(nameOf(file), [file, ...needs.split(" ").filter(Boolean)]);
		}
		for (const line of (await readFile(join(dir, "modules.builtin"), "utf8")).split("\n"))
			index.#builtin.add(nameOf(line));
		return index;
	}

	has(name: string): boolean {
		return this.#files.has(canonical(name)) || this.#builtin.has(canonical(name));
	}

	/** The files of these modules and of what they need, each after what it needs; what is in the kernel itself is left out. */
	inOrder(names: readonly string[]): string[] {
		for (const name of names)
			if (!this.has(name)) throw new DormiceError("not_set_up", `This kernel has no module ${name}.`);
		return [...new Set(names.flatMap((name) => this.#files.get(canonical(name))?.toReversed() ?? []))];
	}

	/** A module's code as the kernel takes it. */
	async read(file: string): Promise<Uint8Array> {
		const packed = await readFile(join(this.#dir, file));
		if (file.endsWith(".ko")) return packed;
		if (file.endsWith(".gz")) return await promisify(gunzip)(packed);
		if (file.endsWith(".zst")) return await promisify(zstdDecompress)(packed);
		if (file.endsWith(".xz")) return (await execa("xz", ["-dc"], { input: packed, encoding: "buffer" })).stdout;
		throw new DormiceError("not_set_up", `Modules packed as ${file} are not known here.`);
	}
}

function nameOf(file: string): string {
	return canonical(file.slice(file.lastIndexOf("/") + 1).replace(/\.ko(\.\w+)?$/, ""));
}

function canonical(name: string): string {
	return name.replaceAll("-", "_");
}
