import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { DormiceError, isSendable, type process as wire } from "@dormice/protocol";
import { keepaliveMs, required, withKeepalive } from "../rpc/streaming.ts";
import { basicUser, type Sandbox } from "../sandbox/sandbox.ts";
import type { Chunk } from "./output.ts";
import type { GuestProcess } from "./process.ts";
import type { Processes, Selector } from "./processes.ts";

type Service = ServiceImpl<typeof wire.Process>;

/** `process.Process` of the E2B wire. */
export function processService({ processes, sandbox }: { processes: Processes; sandbox: Sandbox }): Service {
	return {
		list: () => ({
			processes: processes.running().map(({ config, pid, tag }) => ({
				config: { cmd: config.cmd, args: [...config.args], envs: config.envs, cwd: config.cwd },
				pid,
				tag,
			})),
		}),

		async *start(request, context) {
			const { cmd, args, envs, cwd } = required(request.process, "process");
			const process = await processes.start({
				config: { cmd, args, envs, cwd },
				user: sandbox.user(basicUser(context.requestHeader.get("authorization"))),
				tag: request.tag,
				stdin: request.stdin ?? true,
				pty: request.pty && size(request.pty),
				lifetimeMs: context.timeoutMs(),
			});
			yield* events(process, context, AbortSignal.any([context.signal, process.overdue]));
		},

		async *connect(request, context) {
			yield* events(processes.find(selector(request.process)), context, context.signal);
		},

		async update(request) {
			const process = processes.findRunning(selector(request.process));
			if (request.pty) await process.resize(size(request.pty));
			return {};
		},

		async streamInput(requests) {
			let process: GuestProcess | undefined;
			for await (const { event } of requests) {
				if (event.case === "start") process = processes.findRunning(selector(event.value.process));
				else if (event.case === "data") await write(required(process, "the start event"), event.value.input);
			}
			return {};
		},

		async sendInput(request) {
			await write(processes.findRunning(selector(request.process)), request.input);
			return {};
		},

		async sendSignal(request) {
			const process = processes.findRunning(selector(request.process));
			if (!isSendable(request.signal)) {
				throw new DormiceError(
					"not_implemented",
					`signal ${request.signal} is not one that can be sent: use TERM or KILL`,
				);
			}
			await process.signal(request.signal);
			return {};
		},

		closeStdin(request) {
			// To close what has just ended is to close again: no failure.
			const process = processes.find(selector(request.process));
			// The one failure for which the wire has `unknown`, a code no reason of ours travels as.
			if (process.isPty) throw new ConnectError("a terminal has no stdin to close: send it \\x04", Code.Unknown);
			process.closeStdin();
			return {};
		},
	};
}

/** The life of a process as one client sees it from now on. Leaving early leaves the process alone. */
async function* events(process: GuestProcess, context: HandlerContext, signal: AbortSignal) {
	const subscription = process.subscribe();
	// Before the first yield: a client that leaves right there must not leave the output unread.
	process.flow();
	try {
		yield event({ case: "start", value: { pid: process.pid } });
		const intervalMs = keepaliveMs(context.requestHeader);
		for await (const chunk of withKeepalive(subscription, { signal, intervalMs, keepalive: undefined })) {
			yield event(chunk ? { case: "data", value: { output: output(chunk) } } : { case: "keepalive", value: {} });
		}
		const ending = await process.ended;
		signal.throwIfAborted();
		yield event({ case: "end", value: ending });
	} finally {
		process.unsubscribe(subscription);
	}
}

type Event = MessageInitShape<typeof wire.ProcessEventSchema>;
type Data = MessageInitShape<typeof wire.ProcessEvent_DataEventSchema>;

function event(value: Event["event"]): { event: Event } {
	return { event: { event: value } };
}

function output({ channel, bytes }: Chunk): Data["output"] {
	return { case: channel, value: bytes };
}

function write(process: GuestProcess, input: wire.ProcessInput | undefined): Promise<void> {
	const { case: channel, value } = required(input, "input").input;
	if (channel === undefined) throw new DormiceError("invalid_argument", "input is missing");
	return process.write(channel, value);
}

function selector(value: wire.ProcessSelector | undefined): Selector {
	const chosen = required(value, "process").selector;
	if (chosen.case === "pid") return { pid: chosen.value };
	if (chosen.case === "tag") return { tag: chosen.value };
	throw new DormiceError("invalid_argument", "the process selector names neither pid nor tag");
}

function size(pty: wire.PTY) {
	const { cols, rows } = pty.size ?? { cols: 80, rows: 24 };
	return { columns: Math.min(cols, 65535), rows: Math.min(rows, 65535) };
}
