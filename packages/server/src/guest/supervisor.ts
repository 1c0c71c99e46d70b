import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { DormiceError, GUEST } from "@dormice/protocol";
import type { Link } from "./link.ts";

interface Call {
	method: "GET" | "POST";
	path: string;
	accessToken?: string | null;
	/** Made once there is a connection: what it says of the time is not old when it arrives. */
	body?: () => unknown;
	timeoutMs: number;
	/** False closes the connection after the answer. */
	keepAlive?: boolean;
}

interface Answer {
	status: number;
	body: string;
}

/** An answer of the supervisor is small; one that is not comes from somebody else. */
const MAX_ANSWER_BYTES = 1 << 20;
const RETRY_MS = { first: 5, most: 100 } as const;

/** One request to the supervisor of a sandbox. Rejects with the socket's error, or when `timeoutMs` are over. */
export function callSupervisor(link: Link, call: Call): Promise<Answer> {
	const { promise, resolve, reject } = Promise.withResolvers<Answer>();
	const headers: Record<string, string> = { host: `${GUEST.address}:${GUEST.hostPort}` };
	if (call.accessToken != null) headers["x-access-token"] = call.accessToken;
	if (call.keepAlive === false) headers.connection = "close";
	const ask = request({
		agent: link.agent,
		host: link.address,
		port: GUEST.hostPort,
		method: call.method,
		path: call.path,
		headers,
	});
	let connected = false;
	const timer = setTimeout(() => {
		const what = connected ? "no answer" : "no connection";
		ask.destroy(new Error(`${what} within ${Math.round(call.timeoutMs)} ms`));
	}, call.timeoutMs);
	ask.on("response", (response) => {
		let body = "";
		response.setEncoding("utf8");
		response.on("data", (chunk: string) => {
			body += chunk;
			if (body.length > MAX_ANSWER_BYTES) response.destroy(new Error("the answer is too long"));
		});
		response.on("error", reject);
		response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
	});
	ask.on("error", reject);
	ask.once("socket", (socket) => {
		const send = () => {
			connected = true;
			if (call.body === undefined) return ask.end();
			const payload = Buffer.from(JSON.stringify(call.body()));
			ask.setHeader("content-type", "application/json");
			ask.setHeader("content-length", payload.length);
			return ask.end(payload);
		};
		if (socket.connecting) socket.once("connect", send);
		else send();
	});
	return promise.finally(() => clearTimeout(timer));
}

/**
 * Repeats a call until the supervisor answers 2xx, or the deadline passes. A 4xx is an answer and ends it at once.
 * Throws `guest_unhealthy`.
 */
export async function untilAnswered(link: Link, call: Omit<Call, "timeoutMs">, deadlineMs: number): Promise<void> {
	const endsAtMs = performance.now() + deadlineMs;
	let pauseMs: number = RETRY_MS.first;
	for (;;) {
		const leftMs = endsAtMs - performance.now();
		const answer = await callSupervisor(link, { ...call, timeoutMs: Math.max(1, leftMs) }).catch((error: unknown) => ({
			error,
		}));
		let why: unknown;
		if ("error" in answer) why = answer.error;
		else if (answer.status >= 200 && answer.status < 300) return;
		else {
			why = new Error(`${call.path} answered ${answer.status}: ${answer.body.slice(0, 200)}`);
			if (answer.status < 500) throw unhealthy("its supervisor refused what the host told it", why);
		}
		if (link.closed) throw unhealthy("it was stopped meanwhile", why);
		if (performance.now() + pauseMs >= endsAtMs) {
			throw unhealthy(`its supervisor did not answer within ${deadlineMs} ms`, why);
		}
		await sleep(pauseMs);
		pauseMs = Math.min(pauseMs * 2, RETRY_MS.most);
	}
}

function unhealthy(why: string, cause: unknown): DormiceError {
	return new DormiceError("guest_unhealthy", `The sandbox does not come up: ${why}.`, { cause });
}
