import { Agent, request } from "node:http";
import { DormiceError, REASON_HEADER, REASONS, type Reason } from "@dormice/protocol";

const SERVICE = "/dormice.engine.Engine/";
/** An answer to a call without results is an error's sentence at most. */
const MAX_ANSWER_BYTES = 64 << 10;

/** A call of the engine that has a sandbox's id and no results. */
export type QuickCall = (verb: "Thaw", sandboxId: string, timeoutMs: number) => Promise<void>;

/**
 * Calls the engine in Connect's words without its library, for what somebody's request waits for: half a millisecond in
 * place of three. Throws what the engine says; `engine_unavailable` when it says nothing.
 */
export function quickCalls(socketPath: string): QuickCall {
	const agent = new Agent({ keepAlive: true, maxFreeSockets: 4 });
	const once = (verb: string, body: string, timeoutMs: number) =>
		new Promise<{ status: number; reason: string; text: string }>((resolve, reject) => {
			const call = request({
				...{ socketPath, agent, method: "POST", path: SERVICE + verb },
				headers: {
					"content-type": "application/json",
					"connect-protocol-version": "1",
					"content-length": Buffer.byteLength(body),
				},
			});
			const timer = setTimeout(() => call.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
			call.on("response", (response) => {
				let text = "";
				response.setEncoding("utf8");
				response.on("data", (chunk: string) => {
					if (text.length < MAX_ANSWER_BYTES) text += chunk;
				});
				response.on("error", reject);
				response.on("end", () => {
					clearTimeout(timer);
					const reason = String(response.headers[REASON_HEADER] ?? "");
					resolve({ status: response.statusCode ?? 0, reason, text });
				});
			});
			call.on("error", (error) => {
				clearTimeout(timer);
				reject(Object.assign(error, { stale: call.reusedSocket }));
			});
			call.end(body);
		});
	return async (verb, sandboxId, timeoutMs) => {
		const body = JSON.stringify({ sandboxId });
		const ask = () => once(verb, body, timeoutMs);
		const { status, reason, text } = await ask()
			// A kept connection that the engine closed meanwhile: its verbs may be said twice.
			.catch((error: Error & { stale?: boolean }) => (error.stale === true ? ask() : Promise.reject(error)))
			.catch((cause: unknown) => {
				const message = `The engine did not answer '${verb.toLowerCase()}': is it running?`;
				throw new DormiceError("engine_unavailable", message, { cause });
			});
		if (status !== 200) throw new DormiceError(isReason(reason) ? reason : "engine_unavailable", messageIn(text));
	};
}

function isReason(text: string): text is Reason {
	return Object.hasOwn(REASONS, text);
}

function messageIn(text: string): string {
	try {
		return String((JSON.parse(text) as { message?: unknown }).message);
	} catch {
		return text.slice(0, 500);
	}
}
