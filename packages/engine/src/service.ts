import { PassThrough } from "node:stream";
import type { ConnectRouter, Interceptor, ServiceImpl } from "@connectrpc/connect";
import { DormiceError, engine, toConnectError } from "@dormice/protocol";
import { probe } from "./doctor.ts";
import { diff } from "./generations/diff.ts";
import { usage } from "./generations/usage.ts";
import type { Host } from "./host.ts";
import { log } from "./log.ts";
import { fromErrno } from "./no-space.ts";
import type { Queue } from "./queue.ts";
import { checkpoint, resume } from "./sandboxes/checkpoint.ts";
import { destroy } from "./sandboxes/destroy.ts";
import { diagnose } from "./sandboxes/diagnose.ts";
import { freeze, notHere, thaw } from "./sandboxes/freeze.ts";
import { list, view } from "./sandboxes/list.ts";
import { processesOf } from "./sandboxes/processes.ts";
import type { SandboxRecord } from "./sandboxes/record.ts";
import { boot, restore } from "./sandboxes/start.ts";
import { stats } from "./sandboxes/stats.ts";
import { checkId, checkIsolation, checkLimits, checkText } from "./validate.ts";
import { diffMessage, generationMessage, sandboxMessage, viewMessage } from "./wire.ts";

/** The engine's verbs on the wire: each handler checks what came, calls one verb, answers. */
export function engineRoutes(host: Host, queue: Queue): (router: ConnectRouter) => void {
	const handlers: ServiceImpl<typeof engine.Engine> = {
		probe: (request) => probe(host, queue, request.run),

		async *buildRootfs(request) {
			const name = checkText("name", request.name, 31);
			yield* progressOf((progress) => queue.run(`rootfs ${name}`, () => host.rootfs.build(name, progress)));
		},

		async listRootfs() {
			const all = await host.rootfs.list();
			return { rootfs: all.map(({ id, name }) => ({ rootfsId: id, name })) };
		},

		boot: ({ sandboxId, limits, source, isolation }) =>
			exclusive(sandboxId, async () => {
				switch (source.case) {
					case "rootfsId":
						checkId("rootfs", source.value);
						break;
					case "generationId":
						checkId("generation", source.value);
						break;
					case "ownDisk":
						break;
					default:
						throw new DormiceError("invalid_argument", "Boot needs a source: rootfs_id, generation_id or own_disk.");
				}
				const record = await boot(host, sandboxId, checkLimits(limits), source, checkIsolation(isolation));
				return { sandbox: sandboxMessage(host, record) };
			}),

		restore: ({ sandboxId, generationId, limits }) =>
			exclusive(sandboxId, async () => {
				const record = await restore(host, sandboxId, checkLimits(limits), checkId("generation", generationId));
				return { sandbox: sandboxMessage(host, record) };
			}),

		freeze: ({ sandboxId }) => onLiving(sandboxId, async (record) => freeze(host, record).then(() => ({}))),
		thaw: ({ sandboxId }) => exclusive(sandboxId, async () => thaw(host, sandboxId).then(() => ({}))),

		checkpoint: (request, { signal }) =>
			onLiving(request.sandboxId, async (record) => {
				const manifest = await checkpoint(host, record, await checkpointOptions(record, request), { signal });
				return { generation: generationMessage(manifest) };
			}),

		async *capture(request) {
			const wentOn = Promise.withResolvers<void>();
			// The sandbox is free for other verbs once it goes on; the generation is in work until it is stored.
			const { stored } = await onLiving(request.sandboxId, async (record) => {
				const options = await checkpointOptions(record, request);
				const stored = queue.run(options.generationId, () =>
					checkpoint(host, record, options, { wentOn: wentOn.resolve }),
				);
				await Promise.race([wentOn.promise, stored]);
				return { stored };
			});
			// That it fails is said below, or to nobody when who asked is gone.
			stored.catch(() => undefined);
			yield {};
			yield { generation: generationMessage(await stored) };
		},

		resume: ({ sandboxId }) => onLiving(sandboxId, async (record) => resume(host, record).then(() => ({}))),

		destroy: ({ sandboxId, keepDisk, forget, behind }) =>
			exclusive(sandboxId, async () => destroy(host, sandboxId, { keepDisk, forget, behind }).then(() => ({}))),

		async list() {
			return { sandboxes: (await list(host)).map(viewMessage) };
		},

		stats: async ({ sandboxId }) => stats(host, await living(checkId("sandbox", sandboxId))),
		diagnose: async ({ sandboxId }) => ({
			report: await diagnose(host, await living(checkId("sandbox", sandboxId))),
		}),

		diff: async ({ fromId, to }) => {
			if (to.case === undefined) throw new DormiceError("invalid_argument", "Diff needs to_id or sandbox_id.");
			checkId(to.case === "toId" ? "generation" : "sandbox", to.value);
			return diffMessage(await diff(host, checkId("generation", fromId), to));
		},

		usage: async ({ groups }) => {
			const checked = groups.map(({ name, generationIds, sandboxIds }) => ({
				name: checkText("name", name),
				generationIds: generationIds.map((id) => checkId("generation", id)),
				sandboxIds: sandboxIds.map((id) => checkId("sandbox", id)),
			}));
			const [used, space] = await Promise.all([usage(host, checked), host.pool.space()]);
			return {
				groups: used.map(({ name, bytes, ownBytes }) => ({ name, bytes: BigInt(bytes), ownBytes: BigInt(ownBytes) })),
				poolTotalBytes: BigInt(space.totalBytes),
				poolFreeBytes: BigInt(space.freeBytes),
			};
		},

		async listGenerations() {
			return { generations: (await host.generations.list()).map(generationMessage) };
		},

		async deleteGeneration({ generationId }) {
			const id = checkId("generation", generationId);
			return queue.run(id, async () => host.generations.delete(id).then(() => ({})));
		},
	};

	function exclusive<T>(id: string, work: () => Promise<T>): Promise<T> {
		checkId("sandbox", id);
		return queue.run(id, work);
	}

	function onLiving<T>(id: string, work: (record: SandboxRecord) => Promise<T>): Promise<T> {
		return exclusive(id, async () => work(await living(id)));
	}

	async function checkpointOptions(record: SandboxRecord, request: engine.CheckpointRequest) {
		return {
			generationId: checkId("generation", request.generationId),
			memory: request.memory,
			parentId: request.parentId === "" ? "" : checkId("generation", request.parentId),
			reason: checkText("reason", request.reason),
			processes: request.memory ? await processesOf(host, record) : [],
		};
	}

	async function living(id: string): Promise<SandboxRecord> {
		const { record, state } = await view(host, id);
		if (!record || state === "stopped") throw notHere(id);
		return record;
	}

	return (router) => router.service(engine.Engine, handlers, { interceptors: [reportErrors] });
}

/** Errors leave as typed ones, and those that are nobody's mistake are logged, once, here. */
const reportErrors: Interceptor = (next) => async (request) => {
	try {
		const answer = await next(request);
		if (answer.stream) return { ...answer, message: reportingErrors(request.method.name, answer.message) };
		return answer;
	} catch (error) {
		throw report(request.method.name, error);
	}
};

/** The verb `Thaw` for who says it on a line. */
export async function thawOnLine(host: Host, queue: Queue, sandboxId: string): Promise<void> {
	try {
		const id = checkId("sandbox", sandboxId);
		await queue.run(id, () => thaw(host, id));
	} catch (error) {
		throw report("Thaw", error);
	}
}

async function* reportingErrors<T>(verb: string, messages: AsyncIterable<T>): AsyncGenerator<T> {
	try {
		yield* messages;
	} catch (error) {
		throw report(verb, error);
	}
}

function report(verb: string, error: unknown): Error {
	const mine = error instanceof DormiceError && error.status < 500;
	log[mine ? "info" : "error"]({ err: error, verb }, "a verb failed");
	return toConnectError(fromErrno(error));
}

/** Turns work that reports lines into a stream of them; the last message carries the result. */
async function* progressOf(work: (progress: (line: string) => void) => Promise<string>) {
	const lines = new PassThrough({ objectMode: true });
	const result = Promise.allSettled([work((line) => lines.write(line)).finally(() => lines.end())]);
	for await (const line of lines) yield { line: String(line) };
	const [outcome] = await result;
	if (outcome.status === "rejected") throw outcome.reason;
	yield { rootfsId: outcome.value };
}
