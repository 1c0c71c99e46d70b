import { setTimeout as sleep } from "node:timers/promises";
import { DormiceError } from "@dormice/protocol";
import { Sandbox } from "e2b";
import { engineClient } from "../platform/engine.ts";
import type { PlatformPaths } from "../platform/paths.ts";
import { connectTo, type Target } from "../target.ts";
import { gateway, server } from "./guest.ts";
import { firstAnswer, request } from "./http.ts";
import { measureDozing } from "./ladder.ts";
import type { Series } from "./series.ts";
import { PAUSE, WAKE, worksOf } from "./steps.ts";

const QUIET_MS = 2_500;
/** What the guest's program holds, in MiB. */
const SERVER_MIB = 60;
/** Emulated, everything takes its time. */
const SLOW = { timeoutMs: 300_000, requestTimeoutMs: 300_000 };

export interface MicrovmBench {
	series: Series;
	target: Target;
	paths: PlatformPaths;
	rounds: number;
	onLine: (line: string) => void;
}

/**
 * Creates, pauses and wakes of microVMs. `microvm_wake_vmm` is what QEMU takes of a wake until the guest's first
 * instruction, which is the same with KVM, `microvm_wake_vmm_anew` that of one for which no machine waited; the rest is
 * the guest's own. Answers what runs the guests; undefined when
 * this host runs none.
 */
export async function measureMicrovms(bench: MicrovmBench): Promise<"kvm" | "emulated" | undefined> {
	const { series, target, paths, rounds, onLine } = bench;
	const { drivers } = await engineClient(paths).probe({});
	const driver = drivers.find(({ isolation, usable }) => isolation === "microvm" && usable);
	if (driver === undefined) {
		onLine("microVMs: not set up here. For their rows: dormice setup --isolation microvm");
		return undefined;
	}
	onLine(`microVMs (${driver.acceleration})`);
	const client = { apiKey: target.apiKey, apiUrl: target.apiUrl, sandboxUrl: target.sandboxUrl, ...SLOW };
	const options = {
		...client,
		lifecycle: { onTimeout: "pause", autoResume: true },
		metadata: { "dormice.isolation": "microvm" },
		timeoutMs: 3_600_000,
	} as const;
	try {
		await connectTo(target).templates.prepare("base", { isolation: "microvm" });
	} catch (error) {
		// A platform that is there already may not allow emulation; the other rows are worth as much.
		if (!(error instanceof DormiceError) || error.reason !== "isolation_unavailable") throw error;
		onLine(`microVMs: ${error.message}`);
		return undefined;
	}
	for (let i = 0; i < rounds; i++) {
		const startedMs = performance.now();
		const sandbox = await Sandbox.create("base", options);
		await sandbox.commands.run("true", SLOW);
		series.add("microvm_create_first_exec", performance.now() - startedMs);
		await sandbox.kill();
		await sleep(QUIET_MS);
	}
	const serving = async (rest: Record<string, string>) => {
		const made = await Sandbox.create("base", { ...options, metadata: { ...options.metadata, ...rest } });
		const command = `exec node -e '${server(SERVER_MIB)}' > /dev/null 2>&1`;
		await (await made.commands.run(command, { background: true, timeoutMs: 0 })).disconnect();
		await firstAnswer(gateway(target, made.sandboxId));
		return made;
	};
	const dozing = await serving({ "dormice.doze": "always", "dormice.dozeAfterMs": "1000" });
	try {
		await measureDozing(bench, dozing.sandboxId, "microvm_wake_dozing");
	} finally {
		await dozing.kill();
	}
	const sandbox = await serving({});
	try {
		for (let i = 0; i < rounds; i++) {
			await series.time("microvm_pause", () => Sandbox.pause(sandbox.sandboxId, client));
			await sleep(QUIET_MS);
			await series.time("microvm_resume_http", () => request(gateway(target, sandbox.sandboxId)));
			await sleep(QUIET_MS);
		}
	} finally {
		await sandbox.kill();
	}
	const works = worksOf(paths, sandbox.sandboxId);
	series.explain("microvm_pause", PAUSE, works);
	series.explain("microvm_resume_http", WAKE, works);
	// Beside the first steps it waits for the disk, which is not QEMU's.
	for (const { verb, ready, stepsMs } of works) {
		if (verb !== "vmm") continue;
		const { start = 0, take = 0, load = 0 } = stepsMs;
		series.add(ready === "true" ? "microvm_wake_vmm" : "microvm_wake_vmm_anew", start + take + load);
	}
	return driver.acceleration === "kvm" ? "kvm" : "emulated";
}
