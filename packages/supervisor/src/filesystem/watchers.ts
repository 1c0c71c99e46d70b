import { posix } from "node:path";

/** How many finished uploads one watch is told of before it has seen them: one that looks at none of them keeps no more. */
const MOST = 256;

/** For one watch, by path: the uploads whose rename it is about to see, and whether each replaces a file. */
export class Expected {
	readonly #root: string;
	readonly #paths = new Map<string, boolean[]>();

	/** `root`: the real path of the watched directory. */
	constructor(root: string) {
		this.#root = root;
	}

	add(path: string, isReplaced: boolean): void {
		const name = posix.relative(this.#root, path);
		if (name === "" || name.startsWith("../")) return;
		const [oldest] = this.#paths.keys();
		if (this.#paths.size >= MOST && oldest !== undefined) this.#paths.delete(oldest);
		this.#paths.set(name, [...(this.#paths.get(name) ?? []).slice(1 - MOST), isReplaced]);
	}

	/** Whether the file that came to be `name` is an upload, and then whether it replaced one. */
	take(name: string): "created" | "replaced" | undefined {
		const [first, ...rest] = this.#paths.get(name) ?? [];
		if (first === undefined) return undefined;
		if (rest.length > 0) this.#paths.set(name, rest);
		else this.#paths.delete(name);
		return first ? "replaced" : "created";
	}
}

/** All watches of clients: an upload is written elsewhere and renamed, and they are to hear of it as of a file that is written. */
export class Watchers {
	readonly #all = new Set<Expected>();

	add(root: string): Expected {
		const expected = new Expected(root);
		this.#all.add(expected);
		return expected;
	}

	remove(expected: Expected): void {
		this.#all.delete(expected);
	}

	/** To be called right before the rename. */
	expect(path: string, { isReplaced }: { isReplaced: boolean }): void {
		for (const expected of this.#all) expected.add(path, isReplaced);
	}
}
