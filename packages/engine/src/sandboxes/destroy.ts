import type { Host } from "../host.ts";
import { mountsOf } from "./machine.ts";

/**
 * Ends every process of the sandbox and removes all that the engine made for it, by its id alone: it works on
 * whatever is left, in any state, as often as it is called.
 */
export async function destroy(host: Host, id: string, options: { keepDisk: boolean; forget: boolean }): Promise<void> {
	const record = await host.records.read(id);
	await host.cgroups.destroy(id);
	await host.disks.unmount(mountsOf(host, { id, rootfsId: record?.rootfsId ?? "" }));
	if (record) host.slots.discard(record.slot);
	await host.records.delete(id);
	if (!options.keepDisk) await host.disks.delete(id);
	if (options.forget) await host.logs.delete(id);
}
