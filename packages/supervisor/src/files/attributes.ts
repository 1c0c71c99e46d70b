import type { BigIntStats } from "node:fs";
import { rename } from "node:fs/promises";
import { bestEffort } from "../log.ts";
import type { Metadata } from "./metadata.ts";
import { MetadataStore } from "./metadata-store.ts";

const PREFIX = "user.e2b.";

/** Extended attributes as the spawner reaches them. */
export interface Xattrs {
	/** False where the file system keeps none. */
	setXattr(path: string, name: string, value: string): Promise<boolean>;
	getXattrs(path: string, prefix: string): Promise<Map<string, string>>;
	/** Those whose names begin with `prefix`. */
	removeXattrs(path: string, prefix: string): Promise<void>;
	/** What users set, access lists too, but not what begins with `except`. */
	copyXattrs(from: string, to: string, except: string): Promise<void>;
}

/** The metadata of files: in their extended attributes, or where there is no such thing (gVisor's disk) in a store. */
export class Attributes {
	readonly #xattrs: Xattrs;
	readonly #store: MetadataStore;

	constructor(options: { xattrs: Xattrs; directory: string }) {
		this.#xattrs = options.xattrs;
		this.#store = new MetadataStore({ directory: options.directory });
	}

	/** `info` is of the file itself, and `path` its name, not a link's. */
	async read(path: string, info: BigIntStats): Promise<Metadata> {
		const kept = await this.#store.read(path, info);
		if (kept) return kept;
		const found = await this.#xattrs.getXattrs(path, PREFIX);
		return Object.fromEntries([...found].map(([name, value]) => [name.slice(PREFIX.length), value]));
	}

	/** Gives metadata to a file that has none. */
	async write(path: string, metadata: Metadata): Promise<void> {
		if (!(await this.#attach(path, metadata))) await this.#store.keep(path, metadata);
	}

	/** Gives metadata to a file that is there, in the place of what it had. */
	async replace(path: string, metadata: Metadata): Promise<void> {
		await this.#xattrs.removeXattrs(path, PREFIX);
		await this.forget(path);
		if (Object.keys(metadata).length > 0) await this.write(path, metadata);
	}

	/** Gives a file what others have attached to the one whose place it takes. */
	copyOthers(from: string, to: string): Promise<void> {
		return this.#xattrs.copyXattrs(from, to, PREFIX);
	}

	/** Renames a finished upload to its name, with its metadata and without that of the file it replaces. */
	async place(temporary: string, target: string, metadata: Metadata): Promise<void> {
		if (!(await this.#attach(temporary, metadata))) return this.#store.place(temporary, target, metadata);
		await rename(temporary, target);
		await this.forget(target);
	}

	/** To be told after a rename. */
	async moved(from: string, to: string): Promise<void> {
		await bestEffort("carrying metadata", this.#store.moved(from, to));
	}

	/** To be told after a removal or a replacement. */
	async forget(path: string): Promise<void> {
		await bestEffort("forgetting metadata", this.#store.forget(path));
	}

	async #attach(path: string, metadata: Metadata): Promise<boolean> {
		for (const [key, value] of Object.entries(metadata)) {
			if (!(await this.#xattrs.setXattr(path, PREFIX + key, value))) return false;
		}
		return true;
	}
}
