import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { census, instanceOf } from "../platform/platform.ts";
import { readRows } from "./rows.ts";

const SETTLED_WITHIN_MS = 30_000;
/** What a sandbox that is up has on the host, each so many times as any other. */
const COUNTED = ["mounts", "cgroups", "loopDevices", "sentries"] as const;
const REGISTER = "/run/dormice/slots";

type PerSandbox = Record<(typeof COUNTED)[number], number>;

/** Holds the host and the database to each other: what the rows say is there is there, once, and nothing else is. */
export class Invariants {
	readonly #data: string;
	readonly #perSandbox: PerSandbox;

	private constructor(data: string, perSandbox: PerSandbox) {
		this.#data = data;
		this.#perSandbox = perSandbox;
	}

	/** Learns from `up` sandboxes, all of them running, what one has. */
	static async learn(data: string, up: number): Promise<Invariants> {
		for (let before = ""; ; await sleep(1_000)) {
			const found = await census(data);
			// Machines are being made ready behind the last start.
			const now = JSON.stringify(COUNTED.map((name) => found[name]));
			const perSandbox = Object.fromEntries(COUNTED.map((name) => [name, (found[name] ?? 0) / up])) as PerSandbox;
			if (now === before && Object.values(perSandbox).every(Number.isInteger)) return new Invariants(data, perSandbox);
			before = now;
		}
	}

	/** Resolves once rows = processes = network namespaces = mounts = cgroups = subvolumes; throws when they do not become so. */
	async hold(sandboxes: number): Promise<void> {
		for (const deadline = Date.now() + SETTLED_WITHIN_MS; ; await sleep(100)) {
			try {
				return await this.#compare(sandboxes);
			} catch (error) {
				if (Date.now() > deadline) throw error;
			}
		}
	}

	async #compare(sandboxes: number): Promise<void> {
		const data = this.#data;
		const rows = await readRows(data);
		const found = await census(data);
		const up = [...rows.sandboxes].filter(([, state]) => state !== "asleep").map(([id]) => id);
		const expected = {
			rows: sandboxes,
			moving: [] as string[],
			disks: up.toSorted(),
			trash: [] as string[],
			records: up.toSorted(),
			generations: [...rows.generations].toSorted(),
			...Object.fromEntries(COUNTED.map((name) => [name, this.#perSandbox[name] * up.length])),
			// A slot is two namespaces and a link; of those in use each belongs to a record.
			networks: await this.#slotsOfRecords(),
			unnamedNetworks: 0,
		};
		const networks = await this.#networks();
		const actual = {
			rows: rows.sandboxes.size,
			moving: [...rows.sandboxes.values()].filter((state) => !["running", "dozing", "asleep"].includes(state)),
			disks: await names(join(data, "pool/sandboxes")),
			trash: await names(join(data, "pool/trash")),
			records: (await names(join(data, "run/sandboxes"))).map((name) => name.replace(/\.json$/, "")),
			generations: await names(join(data, "pool/generations")),
			...Object.fromEntries(COUNTED.map((name) => [name, found[name] ?? 0])),
			networks: expected.networks.filter((n) => networks.whole.has(n)),
			unnamedNetworks: networks.broken,
		};
		assert.deepEqual(actual, expected, "database and host do not agree");
		const spare = networks.whole.size - expected.networks.length;
		assert.ok(spare <= SPARE_NETWORKS, `${spare} network slots are nobody's; ${SPARE_NETWORKS} are kept ready`);
	}

	async #slotsOfRecords(): Promise<number[]> {
		const dir = join(this.#data, "run/sandboxes");
		const texts = await Promise.all((await names(dir)).map((name) => readFile(join(dir, name), "utf8")));
		return texts.map((text) => (JSON.parse(text) as { slot: number }).slot).toSorted((a, b) => a - b);
	}

	/** This platform's network slots that have all their parts, and how many have only some. */
	async #networks(): Promise<{ whole: Set<number>; broken: number }> {
		const instance = instanceOf(this.#data);
		const owner = (n: string) => readFile(join(REGISTER, n), "utf8").catch(() => "");
		const registered = await names(REGISTER);
		const owners = await Promise.all(registered.map(owner));
		const links = (await names("/sys/class/net")).filter((name) => name.startsWith(`d${instance}`));
		const all = new Set([
			...registered.filter((_, i) => owners[i] === instance),
			...links.map((name) => name.slice(instance.length + 1)),
		]);
		const whole = [...all].filter((n) =>
			[
				join(REGISTER, n),
				`/run/netns/dormice-${n}-guest`,
				`/run/netns/dormice-${n}-router`,
				`/sys/class/net/d${instance}${n}`,
			].every((path) => existsSync(path)),
		);
		return { whole: new Set(whole.map(Number)), broken: all.size - whole.length };
	}
}

/** Ready by themselves (`DORMICE_SLOTS_READY`), and in the machines of either driver that are ready (`DORMICE_MACHINES_READY`). */
const SPARE_NETWORKS = 4 + 2 * 2;

async function names(path: string): Promise<string[]> {
	return existsSync(path) ? (await readdir(path)).toSorted() : [];
}
