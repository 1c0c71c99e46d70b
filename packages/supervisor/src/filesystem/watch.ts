import { realpath, stat, statfs } from "node:fs/promises";
import { DormiceError } from "@dormice/protocol";
import { errnoText, filing } from "../errno.ts";
import { bestEffort, log } from "../log.ts";
import type { Spawned, Spawner } from "../spawner/spawner.ts";
import { Subscription } from "../subscription.ts";
import { type Change, Changes, type RawEvent } from "./watch-events.ts";
import type { Expected, Watchers } from "./watchers.ts";

export interface WatchOptions {
	readonly spawner: Spawner;
	readonly watchers: Watchers;
	/** The spawner's own binary. */
	readonly spawnerPath: string;
	readonly path: string;
	readonly recursive: boolean;
	readonly allowNetworkMounts: boolean;
}

/** File systems on which another machine's changes are never seen. */
const NETWORK_TYPES: Readonly<Record<number, string>> = {
	26985: "nfs", // 0x6969
	4283649346: "cifs", // 0xFF534D42
	20859: "smb", // 0x517B
	4266872130: "smb2", // 0xFE534D42
	1702057286: "fuse", // 0x65735546
};

const HEAD_BYTES = 12;
const BACKLOG_EVENTS = 16_384;
const SIGKILL = 9;

/** A watched directory: a small program of ours reads inotify for it, and ends with it. */
export class Watch implements AsyncDisposable {
	readonly changes: Subscription<Change>;
	readonly #spawner: Spawner;
	readonly #child: Spawned;
	readonly #mapping: Changes;
	readonly #ready = Promise.withResolvers<void>();
	#isReady = false;
	#rest: Buffer = Buffer.alloc(0);

	private constructor({ spawner, watchers }: WatchOptions, child: Spawned, uploads: Expected) {
		this.#spawner = spawner;
		this.#child = child;
		this.#mapping = new Changes(uploads);
		this.changes = new Subscription(BACKLOG_EVENTS, () => child.stdout.resume());
		child.stdout.on("data", (bytes) => this.#receive(bytes));
		child.stderr?.on("data", (bytes) => log("warn", "a watch reports", { text: String(bytes) }));
		child.stdout.once("close", () => {
			this.#ready.reject(new DormiceError("internal", "the watch ended before it began"));
			watchers.remove(uploads);
			this.changes.end();
		});
	}

	/** Resolves when every change from now on will be seen. */
	static async open(options: WatchOptions): Promise<Watch> {
		const { spawner, spawnerPath, path, recursive } = options;
		const info = await filing(`watching '${path}'`, stat(path));
		if (!info.isDirectory()) throw new DormiceError("invalid_argument", `path ${path} is not a directory`);
		const network = NETWORK_TYPES[(await filing(`watching '${path}'`, statfs(path))).type];
		if (network && !options.allowNetworkMounts) {
			throw new DormiceError("invalid_argument", `cannot watch path on network filesystem: ${path} (${network})`);
		}
		const root = await filing(`watching '${path}'`, realpath(path));
		const child = await spawner.spawn({
			file: spawnerPath,
			args: ["watch", path, ...(recursive ? ["-r"] : [])],
			environment: [],
			cwd: "/",
			uid: 0,
			gid: 0,
			groups: [0],
			stdin: false,
		});
		const uploads = options.watchers.add(root);
		const watch = new Watch(options, child, uploads);
		await watch.#ready.promise;
		return watch;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.changes.end();
		await bestEffort("ending a watch", this.#spawner.signal(this.#child.pid, SIGKILL));
		await this.#child.exited;
		this.#child.stdout.destroy();
		this.#child.stderr?.destroy();
	}

	#receive(bytes: Buffer): void {
		this.#rest = this.#rest.length ? Buffer.concat([this.#rest, bytes]) : bytes;
		if (!this.#isReady && !this.#begin()) return;
		for (let event = this.#next(); event !== undefined; event = this.#next()) {
			for (const change of this.#mapping.from(event)) this.changes.push(change);
		}
		if (this.changes.full) this.#child.stdout.pause();
	}

	#begin(): boolean {
		const end = this.#rest.indexOf("\n");
		if (end < 0) return false;
		const [word, errno] = this.#rest.toString("utf8", 0, end).split(" ");
		this.#rest = this.#rest.subarray(end + 1);
		this.#isReady = word === "ready";
		if (this.#isReady) this.#ready.resolve();
		else this.#ready.reject(new DormiceError("internal", `cannot watch: ${errnoText(Number(errno))}`));
		return this.#isReady;
	}

	#next(): RawEvent | undefined {
		if (this.#rest.length < HEAD_BYTES) return undefined;
		const end = HEAD_BYTES + this.#rest.readUInt32LE(8);
		if (this.#rest.length < end) return undefined;
		const event = {
			mask: this.#rest.readUInt32LE(0),
			cookie: this.#rest.readUInt32LE(4),
			path: this.#rest.toString("utf8", HEAD_BYTES, end),
		};
		this.#rest = this.#rest.subarray(end);
		return event;
	}
}
