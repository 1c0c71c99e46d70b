import type { IncomingMessage, ServerResponse } from "node:http";
import { DormiceError } from "@dormice/protocol";
import { sendJson } from "../http/json.ts";
import type { Handler } from "../http/server.ts";
import { log } from "../log.ts";
import type { Ending } from "./ending.ts";
import type { History } from "./history.ts";
import type { Channel } from "./output.ts";
import type { GuestProcess } from "./process.ts";
import type { Transcript } from "./transcript.ts";

/**
 * Processes and their kept output, our own beside E2B's wire:
 *
 *   GET /processes                      every process whose output is kept
 *   GET /processes/{pid}                one of them
 *   GET /processes/{pid}/output         its output, as bytes
 *
 * `output` takes `stream` (`stdout`, `stderr` or `pty`; without, the one a process always has), `from` (an offset;
 * without, the oldest byte kept) and `follow` (`false` ends at what there is now). The answer says in
 * `dormice-output-from` where it begins, and ends with the process: its trailers are the exit code and status.
 * `started`, as told in `dormice-process-started`, insists on that process and none that got its pid later.
 */
export function processRoutes(history: History): { list: Handler; one: Handler } {
	return {
		list: (_, response) => sendJson(response, 200, history.list().map(describe)),
		async one(request, response, url) {
			const [, pid, rest] = /^\/processes\/(\d{1,10})(\/output)?$/.exec(url.pathname) ?? [];
			if (pid === undefined) return sendJson(response, 404, { code: 404, message: "path not found" });
			const process = history.find(Number(pid), offset(url, "started"));
			if (rest === undefined) return sendJson(response, 200, describe(process));
			await sendOutput(process, request, response, url);
		},
	};
}

function describe(process: GuestProcess) {
	const { pid, config, tag, startedAt, ending, transcripts } = process;
	const output = [...transcripts].map(([channel, { earliest, end }]) => [channel, { earliest, end }]);
	return {
		...{ pid, cmd: config.cmd, args: config.args, tag, startedAt: startedAt.toISOString() },
		...{ startedMs: startedAt.getTime(), running: ending === undefined },
		...(ending && { exitCode: ending.exitCode, exited: ending.exited, status: ending.status }),
		output: Object.fromEntries(output),
	};
}

async function sendOutput(process: GuestProcess, request: IncomingMessage, response: ServerResponse, url: URL) {
	const transcript = chosen(process, url.searchParams.get("stream"));
	const from = offset(url, "from") ?? transcript.earliest;
	response.setHeader("dormice-process-started", process.startedAt.getTime());
	response.setHeader("dormice-output-earliest", transcript.earliest);
	response.setHeader("dormice-output-end", transcript.end);
	transcript.check(from);
	response.writeHead(200, {
		"content-type": "application/octet-stream",
		"cache-control": "no-store",
		"dormice-output-from": from,
		trailer: "dormice-exit-code, dormice-exit-status",
	});
	response.flushHeaders();
	if (request.method === "HEAD") return void response.end();
	const follow = url.searchParams.get("follow") !== "false";
	const gone = new AbortController();
	response.once("close", () => gone.abort());
	try {
		for await (const bytes of transcript.read(from, { follow, signal: gone.signal })) {
			if (!response.write(bytes)) await drained(response);
		}
		if (follow) addEnding(response, await process.ended);
		response.end();
	} catch (error) {
		if (!gone.signal.aborted) log("info", "output cannot be read on", { pid: process.pid, error: String(error) });
		// Cut off, so that nobody takes it for the end.
		response.destroy();
	}
}

function chosen(process: GuestProcess, name: string | null): Transcript {
	const channel = name ?? (process.isPty ? "pty" : "stdout");
	const transcript = process.transcripts.get(channel as Channel);
	if (transcript) return transcript;
	const known = [...process.transcripts.keys()].join(" and ");
	throw new DormiceError("invalid_argument", `process ${process.pid} has no '${channel}': it has ${known}`);
}

function offset(url: URL, name: string): number | undefined {
	const text = url.searchParams.get(name);
	if (text === null) return undefined;
	const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
	if (Number.isSafeInteger(value)) return value;
	throw new DormiceError("invalid_argument", `'${name}' must be a number of bytes or milliseconds, not '${text}'`);
}

function drained(response: ServerResponse): Promise<void> {
	return new Promise((resolve) => {
		if (response.destroyed) return resolve();
		const done = () => {
			response.off("drain", done).off("close", done);
			resolve();
		};
		response.once("drain", done).once("close", done);
	});
}

function addEnding(response: ServerResponse, { exitCode, status }: Ending): void {
	response.addTrailers({ "dormice-exit-code": String(exitCode), "dormice-exit-status": status });
}
