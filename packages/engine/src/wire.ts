import type { MessageInitShape } from "@bufbuild/protobuf";
import type { engine } from "@dormice/protocol";
import type { Process } from "./driver.ts";
import type { Difference } from "./generations/diff.ts";
import type { Manifest } from "./generations/generations.ts";
import type { Host } from "./host.ts";
import type { Limits } from "./limits.ts";
import { type SandboxView, stateOf } from "./sandboxes/list.ts";
import type { SandboxRecord } from "./sandboxes/record.ts";

/** Ours → the wire's; pure. */
export function sandboxMessage(host: Host, record: SandboxRecord): MessageInitShape<typeof engine.SandboxSchema> {
	const address = host.slots.find(record.slot).address;
	return viewMessage({ id: record.id, state: stateOf(host, record), record, limits: record.limits, address });
}

export function viewMessage({
	id,
	state,
	record,
	limits,
	address,
}: SandboxView): MessageInitShape<typeof engine.SandboxSchema> {
	return {
		sandboxId: id,
		state,
		address,
		...(limits ? { limits: limitsMessage(limits) } : {}),
		...(record ? { isolation: record.isolation, rootfsId: record.rootfsId, guestId: record.guestId } : {}),
		repaired: record?.repaired ?? "",
		pid: record && state !== "stopped" ? record.pid : 0,
	};
}

export function generationMessage({
	processes: _processes,
	files: _files,
	cpuFeatures: _features,
	...manifest
}: Manifest): MessageInitShape<typeof engine.GenerationSchema> {
	return {
		...manifest,
		memoryBytes: BigInt(manifest.memoryBytes),
		diskBytes: BigInt(manifest.diskBytes ?? 0),
		limits: limitsMessage(manifest.limits),
	};
}

export function diffMessage(difference: Difference): MessageInitShape<typeof engine.DiffResponseSchema> {
	const { files, truncated, started, ended } = difference;
	return {
		files: files.map((file) => ({
			...file,
			bytesBefore: BigInt(file.bytesBefore),
			bytesAfter: BigInt(file.bytesAfter),
		})),
		truncated,
		started: started.map(processMessage),
		ended: ended.map(processMessage),
	};
}

function processMessage({ pid, uid, name }: Process) {
	return { pid, uid, name };
}

function limitsMessage(limits: Limits) {
	return { cpuCount: limits.cpuCount, memoryMib: limits.memoryMiB, diskMib: limits.diskMiB, pids: limits.pids };
}
