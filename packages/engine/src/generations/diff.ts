import { randomBytes } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { command } from "../command.ts";
import type { Process } from "../driver.ts";
import type { Host } from "../host.ts";
import { bestEffort } from "../log.ts";
import { mountedDisk } from "../machines/machine.ts";
import { processesOf } from "../sandboxes/processes.ts";
import type { Comparison } from "./compare.ts";

const MAIN = join(import.meta.dirname, "diff-main.ts");
const WITHIN_MS = 60_000;

export type Difference = Comparison & { started: Process[]; ended: Process[] };

type To = { case: "toId"; value: string } | { case: "sandboxId"; value: string };

/** What lies between a generation and another, or a sandbox as it is now. Both must lie over one root file system. */
export async function diff(host: Host, fromId: string, to: To): Promise<Difference> {
	const from = await host.generations.readManifest(fromId);
	const now = await target(host, to);
	if (now.rootfsId !== from.rootfsId) {
		throw new DormiceError(
			"invalid_argument",
			"The two states have different root file systems: they stem from different templates.",
		);
	}
	// Copies, for a journal that is open has to be replayed; the engine's next start removes what a crash leaves.
	const work = host.generations.dir(`diff-${randomBytes(8).toString("hex")}`);
	const [a, b] = [`${work}-a.partial`, `${work}-b.partial`];
	const mounts = join(host.config.run, "diff", randomBytes(8).toString("hex"));
	try {
		for (const dir of [a, b, mounts]) await mkdir(dir, { recursive: true, mode: 0o700 });
		await host.pool.snapshot(host.generations.disk(fromId), join(a, "disk"), { readOnly: false });
		await host.pool.snapshot(now.disk, join(b, "disk"), { readOnly: false });
		const images = [a, b].map((dir) => join(dir, "disk", "disk.img"));
		const program = [process.execPath, MAIN, mounts, host.rootfs.path(from.rootfsId), ...images];
		const isolated = ["--mount", "--propagation", "private", "--", ...program];
		const said = await command("unshare", isolated, { timeoutMs: WITHIN_MS, maxBytes: 16 << 20 });
		return { ...(JSON.parse(said) as Comparison), ...between(from.processes ?? [], now.processes) };
	} finally {
		for (const dir of [a, b]) await bestEffort(`remove ${dir}`, host.generations.removePartial(dir));
		await bestEffort(`remove ${mounts}`, rm(mounts, { recursive: true, force: true }));
	}
}

async function target(host: Host, to: To): Promise<{ disk: string; rootfsId: string; processes: Process[] }> {
	if (to.case === "toId") {
		const { rootfsId, processes = [] } = await host.generations.readManifest(to.value);
		return { disk: host.generations.disk(to.value), rootfsId, processes };
	}
	const record = await host.records.read(to.value);
	if (!record) throw new DormiceError("sandbox_not_found", `Sandbox ${to.value} has no processes on this host.`);
	// What only its own kernel has mounted is as that wrote it.
	const mounted = mountedDisk(host, record);
	if (mounted !== undefined) await command("sync", ["-f", mounted], { timeoutMs: WITHIN_MS });
	return { disk: host.disks.path(record.id), rootfsId: record.rootfsId, processes: await processesOf(host, record) };
}

/** Which processes began and which ended. Pure. */
export function between(before: readonly Process[], after: readonly Process[]): Pick<Difference, "started" | "ended"> {
	const nameOf = ({ pid, startedAt, name }: Process) => `${pid} ${startedAt} ${name}`;
	const [had, has] = [new Set(before.map(nameOf)), new Set(after.map(nameOf))];
	return {
		started: after.filter((process) => !had.has(nameOf(process))),
		ended: before.filter((process) => !has.has(nameOf(process))),
	};
}
