import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { failed } from "../command.ts";
import type { Native } from "../native.ts";

type RunscState = {
	goferPid?: number;
	controlSocketPath?: string;
	sandbox?: { controlSocketPath?: string; pid?: number };
};

export type MachineState = { controlSocket: string; pid: number; goferPid: number };

/** What `runsc` wrote down about a sandbox it started. */
export async function readState(root: string, id: string): Promise<MachineState> {
	const state = JSON.parse(await readFile(join(root, `${id}_sandbox:${id}.state`), "utf8")) as RunscState;
	const pid = state.sandbox?.pid;
	if (!pid) throw new DormiceError("internal", `runsc's state file of ${id} names no process.`);
	// It is moved to /var/run when an old socket is in its way: the state file knows.
	const controlSocket = state.controlSocketPath ?? state.sandbox?.controlSocketPath ?? join(root, `runsc-${id}.sock`);
	return { controlSocket, pid, goferPid: state.goferPid ?? 0 };
}

/**
 * Calls a method of the sandbox's control server: one JSON object each way on a UNIX stream socket.
 * A millisecond, against the 36 ms of a `runsc` command.
 */
export function call(
	socketPath: string,
	method: string,
	{ arg = {}, timeoutMs = 10_000 }: { arg?: unknown; timeoutMs?: number } = {},
): Promise<unknown> {
	return new Promise((resolve, reject) => {
		const fail = (why: string, cause?: unknown) => {
			socket.destroy();
			reject(new DormiceError("command_failed", `gVisor's ${method} failed: ${why}`, { cause }));
		};
		let answer = "";
		const socket = connect(socketPath, () => socket.write(JSON.stringify({ method, arg })));
		socket.setTimeout(timeoutMs, () => fail(`no answer in ${timeoutMs} ms`));
		socket.on("error", (error) => fail(error.message, error));
		socket.on("close", () => fail("the sandbox closed the connection"));
		socket.on("data", (chunk) => {
			answer += chunk.toString();
			const parsed = parse(answer);
			if (parsed === undefined) return;
			if (!parsed.success) return fail(parsed.err ?? "no reason given");
			socket.removeAllListeners("close");
			socket.end();
			resolve(parsed.result);
		});
	});
}

/**
 * A call that hands descriptors over, which the helper opens: `read:PATH`, `create:PATH` or `packet:NETNS`.
 * Its arguments are gVisor's own structs (runsc/boot/controller.go, pkg/sentry/control/state.go).
 */
export async function callWith(
	native: Native,
	socketPath: string,
	method: string,
	arg: unknown,
	descriptors: readonly string[],
): Promise<void> {
	const answer = parse(await native.call("call", socketPath, JSON.stringify({ method, arg }), ...descriptors));
	if (!answer?.success) throw failed(`gVisor's ${method}`, "refused", answer?.err ?? "no reason given");
}

function parse(text: string): { success: boolean; err?: string; result?: unknown } | undefined {
	try {
		return JSON.parse(text);
	} catch {
		return undefined; // Not all of it has come.
	}
}
