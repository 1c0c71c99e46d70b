import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { DormiceError, fromConnectError, type Isolation, isIsolation, engine as wire } from "@dormice/protocol";
import type {
	BootSource,
	Difference,
	Engine,
	FileChange,
	Generation,
	HostReport,
	HostSandbox,
	Stats,
} from "./engine.ts";
import { ThawLine } from "./thaw-line.ts";

/** How long each kind of verb may take before the engine counts as gone. */
const DEADLINE_MS = {
	question: 10_000,
	diagnose: 30_000,
	start: 60_000,
	checkpoint: 600_000,
	destroy: 60_000,
	diff: 120_000,
} as const;

const STATES = ["running", "frozen", "paused", "stopped"] as const;

/** The engine behind a UNIX socket. The only file that sees the wire's types. */
export function connectEngine(socketPath: string): Engine {
	const transport = createConnectTransport({
		httpVersion: "1.1",
		baseUrl: "http://engine",
		nodeOptions: { socketPath },
	});
	const client: Client<typeof wire.Engine> = createClient(wire.Engine, transport);
	const thawLine = new ThawLine(socketPath);

	return {
		probe: async () => report(await call("probe", client.probe({}, { timeoutMs: DEADLINE_MS.question }))),
		listRootfs: async () => {
			const { rootfs } = await call("listRootfs", client.listRootfs({}, { timeoutMs: DEADLINE_MS.question }));
			return rootfs.map(({ rootfsId, name }) => ({ id: rootfsId, name }));
		},
		boot: async (sandboxId, limits, source, isolation) => {
			const request = { sandboxId, limits: { ...limits }, source: bootSource(source), isolation };
			return started((await call("boot", client.boot(request, { timeoutMs: DEADLINE_MS.start }))).sandbox);
		},
		restore: async (sandboxId, limits, generationId) => {
			const request = { sandboxId, limits: { ...limits }, generationId };
			return started((await call("restore", client.restore(request, { timeoutMs: DEADLINE_MS.start }))).sandbox);
		},
		checkpoint: async (sandboxId, options, signal) => {
			const request = { sandboxId, ...options };
			const { generation } = await call(
				"checkpoint",
				client.checkpoint(request, { timeoutMs: DEADLINE_MS.checkpoint, ...(signal && { signal }) }),
			);
			return fromGeneration(generation);
		},
		capture: async (sandboxId, options, wentOn) => {
			const request = { sandboxId, memory: true, ...options };
			const answers = client.capture(request, { timeoutMs: DEADLINE_MS.checkpoint });
			return fromGeneration(await call("capture", lastOf(answers, wentOn)));
		},
		resume: async (sandboxId) => {
			await call("resume", client.resume({ sandboxId }, { timeoutMs: DEADLINE_MS.start }));
		},
		freeze: async (sandboxId) => {
			await call("freeze", client.freeze({ sandboxId }, { timeoutMs: DEADLINE_MS.question }));
			thawLine.open();
		},
		thaw: (sandboxId) => thawLine.thaw(sandboxId, DEADLINE_MS.question),
		destroy: (sandboxId, { keepDisk = false, forget = false, behind = false } = {}) =>
			gone(
				"sandbox_not_found",
				call("destroy", client.destroy({ sandboxId, keepDisk, forget, behind }, { timeoutMs: DEADLINE_MS.destroy })),
			),
		list: async () => {
			const { sandboxes } = await call("list", client.list({}, { timeoutMs: DEADLINE_MS.question }));
			return sandboxes.map(fromSandbox);
		},
		stats: async (sandboxId) =>
			stats(await call("stats", client.stats({ sandboxId }, { timeoutMs: DEADLINE_MS.question }))),
		diagnose: async (sandboxId) => {
			const asked = client.diagnose({ sandboxId }, { timeoutMs: DEADLINE_MS.diagnose });
			return (await call("diagnose", asked)).report;
		},
		diff: async (fromId, target) => {
			const to =
				"generationId" in target
					? ({ case: "toId", value: target.generationId } as const)
					: ({ case: "sandboxId", value: target.sandboxId } as const);
			return difference(await call("diff", client.diff({ fromId, to }, { timeoutMs: DEADLINE_MS.diff })));
		},
		listGenerations: async () => {
			const { generations } = await call(
				"listGenerations",
				client.listGenerations({}, { timeoutMs: DEADLINE_MS.question }),
			);
			return generations.map(fromGeneration);
		},
		usage: async (groups) => {
			const request = { groups: groups.map((group) => ({ ...group })) };
			const answer = await call("usage", client.usage(request, { timeoutMs: DEADLINE_MS.diff }));
			return {
				groups: new Map(
					answer.groups.map(({ name, bytes, ownBytes }) => [
						name,
						{ bytes: Number(bytes), ownBytes: Number(ownBytes) },
					]),
				),
				poolTotalBytes: Number(answer.poolTotalBytes),
				poolFreeBytes: Number(answer.poolFreeBytes),
			};
		},
		deleteGeneration: (generationId) =>
			gone(
				"generation_not_found",
				call("deleteGeneration", client.deleteGeneration({ generationId }, { timeoutMs: DEADLINE_MS.destroy })),
			),
	};
}

async function call<T>(verb: string, answer: Promise<T>): Promise<T> {
	try {
		return await answer;
	} catch (error) {
		const ours = fromConnectError(error, "engine_unavailable");
		if (ours.reason !== "engine_unavailable") throw ours;
		throw new DormiceError("engine_unavailable", `The engine did not answer '${verb}': is it running?`, {
			cause: error,
		});
	}
}

/** For verbs that make something not be: that it is not there already is the end they want. */
async function gone(missing: "sandbox_not_found" | "generation_not_found", work: Promise<unknown>): Promise<void> {
	try {
		await work;
	} catch (error) {
		if (!(error instanceof DormiceError) || error.reason !== missing) throw error;
	}
}

function bootSource(source: BootSource) {
	if ("rootfsId" in source) return { case: "rootfsId", value: source.rootfsId } as const;
	if ("generationId" in source) return { case: "generationId", value: source.generationId } as const;
	return { case: "ownDisk", value: true } as const;
}

function started(sandbox: wire.Sandbox | undefined): HostSandbox {
	if (sandbox === undefined || sandbox.address === "") {
		throw new DormiceError("internal", "The engine started a sandbox and did not say where it is.");
	}
	return fromSandbox(sandbox);
}

function fromSandbox(sandbox: wire.Sandbox): HostSandbox {
	const state = STATES.find((known) => known === sandbox.state);
	if (state === undefined) {
		throw new DormiceError("internal", `The engine has a sandbox in the unknown state '${sandbox.state}'.`);
	}
	const { sandboxId: id, address, guestId, repaired } = sandbox;
	const isolation = sandbox.isolation === "" ? undefined : isolationOf(sandbox.isolation);
	return { id, state, isolation, address, guestId, repaired: repaired === "" ? undefined : repaired };
}

/** The generation, which comes last; the answer before it says that the sandbox goes on. */
async function lastOf(answers: AsyncIterable<wire.CaptureResponse>, wentOn: () => void) {
	let last: wire.Generation | undefined;
	for await (const { generation } of answers) {
		if (generation === undefined) wentOn();
		else last = generation;
	}
	return last;
}

function fromGeneration(generation: wire.Generation | undefined): Generation {
	if (generation === undefined) throw new DormiceError("internal", "The engine answered without a generation.");
	const { generationId, parentId, rootfsId, memory, engineVersion, guestId } = generation;
	const { cpuCount = 0, memoryMib = 0, diskMib = 0 } = generation.limits ?? {};
	return {
		id: generationId,
		parentId: parentId === "" ? undefined : parentId,
		rootfsId,
		memory,
		isolation: isolationOf(generation.isolation),
		engineVersion,
		guestId,
		memoryBytes: Number(generation.memoryBytes),
		diskBytes: Number(generation.diskBytes),
		limits: { cpuCount, memoryMib, diskMib },
		createdAt: generation.createdAt,
		reason: generation.reason,
	};
}

function isolationOf(text: string): Isolation {
	if (isIsolation(text)) return text;
	throw new DormiceError("internal", `The engine speaks of an isolation '${text}', which this server does not know.`);
}

function report({ drivers, isolation, guestId, poolId }: wire.ProbeResponse): HostReport {
	return {
		drivers: drivers.map((driver) => ({
			isolation: isolationOf(driver.isolation),
			usable: driver.usable,
			reason: driver.reason,
			version: driver.version,
			emulated: driver.acceleration === "emulated",
		})),
		automatic: isolation === "" ? undefined : isolationOf(isolation),
		guestId,
		poolId,
	};
}

function difference({ files, truncated, started, ended }: wire.DiffResponse): Difference {
	const process = ({ pid, uid, name }: wire.Process) => ({ pid, uid, name });
	return {
		files: files.map(({ path, change, type, bytesBefore, bytesAfter }) => ({
			path,
			change: change as FileChange["change"],
			type: type as FileChange["type"],
			bytesBefore: Number(bytesBefore),
			bytesAfter: Number(bytesAfter),
		})),
		truncated,
		started: started.map(process),
		ended: ended.map(process),
	};
}

function stats(answer: wire.StatsResponse): Stats {
	return {
		cpuUsageUs: Number(answer.cpuUsageUs),
		memoryBytes: Number(answer.memoryBytes),
		memoryCacheBytes: Number(answer.memoryCacheBytes),
		diskUsedBytes: Number(answer.diskUsedBytes),
		diskTotalBytes: Number(answer.diskTotalBytes),
	};
}
