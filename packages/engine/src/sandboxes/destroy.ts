import type { Host } from "../host.ts";
import { removeMachine } from "../machines/remove.ts";
import type { SandboxRecord } from "./record.ts";

export type DestroyOptions = {
	/** The disk stays, for a cold boot. */
	keepDisk: boolean;
	/** Its log goes too: nobody will ask for this id again. */
	forget: boolean;
	/** Returns once the id is free for another start; processes and mounts go behind the caller's back. */
	behind: boolean;
};

/**
 * Ends every process of the sandbox and removes all that the engine made for it: it works on whatever is left, in any
 * state, as often as it is called.
 */
export async function destroy(host: Host, id: string, { keepDisk, forget, behind }: DestroyOptions): Promise<void> {
	const record = await host.records.read(id);
	// Whoever starts from a kept disk must find it unmounted.
	if (record && keepDisk) await end(host, record);
	const deleteDisk = keepDisk ? undefined : await host.disks.discard(id);
	await host.records.delete(id);
	if (forget) await host.logs.delete(id);
	else await host.logs.deleteIfEmpty(id);
	if (deleteDisk === undefined) return;
	const removal = async () => {
		if (record) await end(host, record);
		await deleteDisk();
	};
	if (behind) host.background.run(`clear ${id} away`, removal);
	else await removal();
}

async function end(host: Host, { machineId, slot }: SandboxRecord): Promise<void> {
	await removeMachine(host, machineId);
	host.slots.discard(slot);
}
