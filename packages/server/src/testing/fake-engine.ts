import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
	DormiceError,
	ISOLATIONS,
	type Isolation,
	isIsolation,
	type Reason,
	serveThawLines,
	toConnectError,
	engine as wire,
} from "@dormice/protocol";
import { FakeGuest, type GuestMemory } from "./fake-guest.ts";

export const ROOTFS = "base-0123456789abcdef";

interface FakeSandbox {
	id: string;
	state: "running" | "frozen" | "paused" | "stopped";
	isolation: Isolation;
	guest: FakeGuest | undefined;
	limits: wire.Limits | undefined;
	/** A disk is a number that grows with what is "written". */
	disk: number;
}

interface FakeGeneration {
	id: string;
	memory: GuestMemory | undefined;
	isolation: Isolation;
	limits: wire.Limits | undefined;
	disk: number;
	reason: string;
	parentId: string;
	engineVersion: string;
	guestId: string;
}

interface FakeDriver {
	usable: boolean;
	/** `kvm` or `emulated`, of a virtual machine. */
	acceleration?: string;
}

let nextAddress = 1;

/** The engine's verbs over a UNIX socket, with loopback servers as sandboxes. What is in it outlives the server under test. */
export class FakeEngine implements AsyncDisposable {
	readonly sandboxes = new Map<string, FakeSandbox>();
	readonly generations = new Map<string, FakeGeneration>();
	/** How often each verb was called. */
	readonly calls = new Map<string, number>();
	/** Verbs that fail, and with what; `times` counts down. */
	readonly failures = new Map<string, { reason: Reason; times: number }>();
	/** How long verbs take. */
	readonly delaysMs = new Map<string, number>();
	/** Checkpoints that their caller gave up. */
	calledOff = 0;
	/** So many of the next restores start a guest that stands still. */
	silentRestores = 0;
	/** What is found wrong with the disk of the next sandbox that starts. */
	repairs = "";
	/** How many guest connections a checkpoint found open, at worst. */
	openAtCheckpoint = 0;
	/** The most starts there were at once. */
	startsAtOnce = 0;
	/** What it can run; sandboxes that ask for none get the strongest that is usable and not emulated. */
	readonly drivers = new Map<Isolation, FakeDriver>([["gvisor", { usable: true }]]);
	engineVersion = "fake-1";
	guestId = "guest-1";
	#starting = 0;
	#server: Server | undefined;
	#endThawLines: (() => void) | undefined;
	readonly #socketPath: string;

	constructor(socketPath: string) {
		this.#socketPath = socketPath;
	}

	async listen(): Promise<void> {
		const handler = connectNodeAdapter({ routes: (router) => void router.service(wire.Engine, this.#service()) });
		this.#server = createServer((req, res) => void handler(req, res));
		this.#endThawLines = serveThawLines(this.#server, (sandboxId) => this.#thaw(sandboxId));
		await once(this.#server.listen(this.#socketPath), "listening");
	}

	/** As if the engine's process had died; its sandboxes go on. */
	async hangUp(): Promise<void> {
		const server = this.#server;
		this.#server = undefined;
		if (server === undefined) return;
		const closed = once(server, "close");
		server.close();
		server.closeAllConnections();
		this.#endThawLines?.();
		await closed;
	}

	/** As if the host's processes had died: disks stay. */
	async lose(id: string, { disk = true }: { disk?: boolean } = {}): Promise<void> {
		const sandbox = this.#get(id);
		await sandbox.guest?.stop();
		sandbox.guest = undefined;
		sandbox.state = "stopped";
		if (!disk) this.sandboxes.delete(id);
	}

	/** A sandbox nobody asked for. */
	async plant(id: string): Promise<string> {
		await this.#start(id, "gvisor", { counter: 0, env: {}, token: undefined }, 0);
		return id;
	}

	guest(id: string): FakeGuest {
		const { guest } = this.#get(id);
		if (guest === undefined) throw new Error(`${id} does not run`);
		return guest;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.hangUp();
		for (const { guest } of this.sandboxes.values()) await guest?.stop();
	}

	#service(): Partial<ServiceImpl<typeof wire.Engine>> {
		return {
			probe: () =>
				this.#verb("probe", async () => ({
					drivers: [...this.drivers].map(([isolation, { usable, acceleration = "" }]) => ({
						...{ isolation, usable, acceleration },
						version: this.engineVersion,
						reason: usable ? "" : "the test says so",
					})),
					isolation: this.#unasked() ?? "",
					guestId: this.guestId,
					poolId: "pool-1",
				})),
			listRootfs: () => this.#verb("listRootfs", async () => ({ rootfs: [{ rootfsId: ROOTFS, name: "base" }] })),
			boot: ({ sandboxId, limits, source, isolation: asked }) =>
				this.#verb("boot", async () => {
					const memory: GuestMemory = { counter: 0, env: {}, token: undefined };
					let disk = 0;
					if (source.case === "ownDisk") {
						const own = this.#get(sandboxId);
						if (own.state !== "stopped") throw new DormiceError("already_exists", "it runs");
						disk = own.disk;
						this.sandboxes.delete(sandboxId);
					} else if (source.case === "generationId") disk = this.#generation(source.value).disk;
					const isolation = isIsolation(asked) ? asked : this.#unasked();
					return { sandbox: await this.#start(sandboxId, isolation, memory, disk, limits) };
				}),
			restore: ({ sandboxId, limits, generationId }) =>
				this.#verb("restore", async () => {
					const { memory, disk, isolation } = this.#generation(generationId);
					if (memory === undefined) throw new DormiceError("invalid_argument", "no memory in it");
					const sandbox = await this.#start(sandboxId, isolation, structuredClone(memory), disk, limits);
					if (this.silentRestores > 0) {
						this.silentRestores--;
						this.guest(sandboxId).freeze();
					}
					return { sandbox };
				}),
			checkpoint: (request, { signal }) =>
				this.#verb("checkpoint", async () => {
					if (signal.aborted) this.calledOff++;
					signal.throwIfAborted();
					return { generation: manifest(await this.#checkpoint(request)) };
				}),
			capture: (request) => this.#capture(request),
			resume: ({ sandboxId }) =>
				this.#verb("resume", async () => {
					this.#get(sandboxId).state = "running";
					return {};
				}),
			freeze: ({ sandboxId }) =>
				this.#verb("freeze", async () => {
					const sandbox = this.#living(sandboxId);
					sandbox.state = "frozen";
					sandbox.guest?.freeze();
					return {};
				}),
			thaw: async ({ sandboxId }) => {
				await this.#thaw(sandboxId);
				return {};
			},
			destroy: ({ sandboxId, keepDisk }) =>
				this.#verb("destroy", async () => {
					const sandbox = this.#get(sandboxId);
					await sandbox.guest?.stop();
					sandbox.guest = undefined;
					sandbox.state = "stopped";
					if (!keepDisk) this.sandboxes.delete(sandboxId);
					return {};
				}),
			list: () => this.#verb("list", async () => ({ sandboxes: [...this.sandboxes.values()].map(answer) })),
			diagnose: () => this.#verb("diagnose", async () => ({ report: "it stands still" })),
			stats: ({ sandboxId }) =>
				this.#verb("stats", async () => {
					const { guest } = this.#get(sandboxId);
					const memoryBytes = BigInt(guest?.memoryBytes ?? 0);
					return {
						cpuUsageUs: BigInt(guest?.cpuUsageUs ?? 0),
						memoryBytes,
						diskUsedBytes: 11n,
						diskTotalBytes: 13n,
						processes: 1,
					};
				}),
			diff: ({ fromId, to }) =>
				this.#verb("diff", async () => {
					const before = this.#generation(fromId).disk;
					const after = to.case === "toId" ? this.#generation(to.value).disk : this.#get(to.value ?? "").disk;
					const file = { path: "/disk", change: "changed", type: "file" };
					return {
						files: before === after ? [] : [{ ...file, bytesBefore: BigInt(before), bytesAfter: BigInt(after) }],
					};
				}),
			usage: ({ groups }) =>
				this.#verb("usage", async () => ({
					// A hundred bytes each, of which one is shared by all.
					groups: groups.map(({ name, generationIds, sandboxIds }) => {
						const there = generationIds.filter((id) => this.generations.has(id)).length;
						const disks = sandboxIds.filter((id) => this.sandboxes.has(id)).length;
						return { name, bytes: BigInt((there + disks) * 100), ownBytes: BigInt((there + disks) * 99) };
					}),
					poolTotalBytes: 1000n,
					poolFreeBytes: 500n,
				})),
			listGenerations: () =>
				this.#verb("listGenerations", async () => ({ generations: [...this.generations.values()].map(manifest) })),
			deleteGeneration: ({ generationId }) =>
				this.#verb("deleteGeneration", async () => {
					this.#generation(generationId);
					this.generations.delete(generationId);
					return {};
				}),
		};
	}

	async #checkpoint({
		sandboxId,
		generationId,
		memory,
		reason,
		parentId,
	}: wire.CheckpointRequest): Promise<FakeGeneration> {
		const sandbox = this.#get(sandboxId);
		if (sandbox.state !== "running") throw new DormiceError("state_conflict", `it is ${sandbox.state}`);
		// A reset that the server has sent reaches the guest's side of this process a moment later.
		for (let tries = 0; tries < 100 && ((await sandbox.guest?.connections()) ?? 0) > 0; tries++) await sleep(2);
		this.openAtCheckpoint = Math.max(this.openAtCheckpoint, (await sandbox.guest?.connections()) ?? 0);
		sandbox.state = "paused";
		const generation: FakeGeneration = {
			id: generationId,
			memory: memory ? structuredClone(sandbox.guest?.memory) : undefined,
			isolation: sandbox.isolation,
			limits: sandbox.limits,
			disk: sandbox.disk,
			reason,
			parentId,
			engineVersion: this.engineVersion,
			guestId: this.guestId,
		};
		this.generations.set(generationId, generation);
		return generation;
	}

	/** Counts, fails and takes its time as `checkpoint`, then as `resume`, and when the sandbox goes on as `store`. */
	async *#capture(request: wire.CheckpointRequest) {
		const generation = await this.#verb("checkpoint", () => this.#checkpoint(request));
		await this.#verb("resume", async () => {
			this.#get(request.sandboxId).state = "running";
		});
		yield {};
		yield await this.#verb("store", async () => ({ generation: manifest(generation) }));
	}

	#thaw(sandboxId: string): Promise<void> {
		return this.#verb("thaw", async () => {
			const sandbox = this.#living(sandboxId);
			sandbox.state = "running";
			sandbox.guest?.thaw();
		});
	}

	async #verb<T>(name: string, run: () => Promise<T>): Promise<T> {
		this.calls.set(name, (this.calls.get(name) ?? 0) + 1);
		await new Promise((resolve) => setTimeout(resolve, this.delaysMs.get(name) ?? 0));
		const failure = this.failures.get(name);
		if (failure !== undefined && failure.times-- > 0) {
			throw toConnectError(new DormiceError(failure.reason, `${name} fails because the test says so`));
		}
		try {
			return await run();
		} catch (error) {
			throw error instanceof DormiceError ? toConnectError(error) : new ConnectError(String(error), Code.Internal);
		}
	}

	#unasked(): Isolation | undefined {
		return ISOLATIONS.find((isolation) => {
			const driver = this.drivers.get(isolation);
			return driver?.usable === true && driver.acceleration !== "emulated";
		});
	}

	async #start(
		id: string,
		isolation: Isolation | undefined,
		memory: GuestMemory,
		disk: number,
		limits?: wire.Limits,
	): Promise<ReturnType<typeof answer> & { repaired: string }> {
		if (isolation === undefined || this.drivers.get(isolation)?.usable !== true) {
			throw new DormiceError("isolation_unavailable", `no ${isolation} here`);
		}
		if (this.sandboxes.has(id)) throw new DormiceError("already_exists", `${id} is here`);
		this.#starting++;
		this.startsAtOnce = Math.max(this.startsAtOnce, this.#starting);
		try {
			const number = nextAddress++;
			const address = `127.${100 + (process.pid % 100)}.${number >> 8}.${number & 255}`;
			const guest = await FakeGuest.start(address, memory);
			const sandbox: FakeSandbox = { id, state: "running", isolation, guest, limits, disk };
			this.sandboxes.set(id, sandbox);
			const { repairs: repaired } = this;
			this.repairs = "";
			return { ...answer(sandbox), repaired };
		} finally {
			this.#starting--;
		}
	}

	#get(id: string): FakeSandbox {
		const sandbox = this.sandboxes.get(id);
		if (sandbox === undefined) throw new DormiceError("sandbox_not_found", `there is no ${id}`);
		return sandbox;
	}

	#living(id: string): FakeSandbox {
		const sandbox = this.#get(id);
		if (sandbox.state === "stopped") throw new DormiceError("sandbox_not_found", `${id} does not run`);
		return sandbox;
	}

	#generation(id: string): FakeGeneration {
		const generation = this.generations.get(id);
		if (generation === undefined) throw new DormiceError("generation_not_found", `there is no ${id}`);
		return generation;
	}
}

function answer({ id, state, isolation, guest }: FakeSandbox) {
	return { sandboxId: id, state, isolation, address: guest?.address ?? "", rootfsId: ROOTFS };
}

function manifest({ id, memory, isolation, limits, reason, parentId, engineVersion, guestId }: FakeGeneration) {
	return {
		generationId: id,
		parentId,
		rootfsId: ROOTFS,
		memory: memory !== undefined,
		isolation,
		engineVersion,
		guestId,
		...(limits && { limits }),
		createdAt: new Date().toISOString(),
		reason,
	};
}
