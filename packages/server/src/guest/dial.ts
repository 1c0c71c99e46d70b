import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { DormiceError, GUEST } from "@dormice/protocol";

export interface DialOptions {
	address: string;
	port: number;
	/** Until then (`performance.now()`) a refusal is asked again; after it, it is an answer. */
	settledAtMs: number;
	/** Called with each socket before it connects, so that its owner can end it at any time. */
	opened: (socket: Socket) => void;
}

export interface Dialed {
	socket: Socket;
	/** The TCP connection below, to end it hard. */
	raw: Socket;
}

const CONNECT_TIMEOUT_MS = 5_000;
/** A SYN that was lost while the network came up is sent again by TCP only after a second: ask anew instead. */
const FRESH_CONNECT_TIMEOUT_MS = 150;
const BACKOFF_MS = { first: 5, most: 150 } as const;

/**
 * Connects to a port of a sandbox: directly, else through the supervisor for servers that listen on localhost only.
 * Throws `guest_unhealthy` when nobody answers there.
 */
export async function dial(options: DialOptions): Promise<Dialed> {
	let backoffMs: number = BACKOFF_MS.first;
	for (;;) {
		const settling = performance.now() < options.settledAtMs;
		try {
			return await dialOnce(options, settling ? FRESH_CONNECT_TIMEOUT_MS : CONNECT_TIMEOUT_MS);
		} catch (error) {
			if (!settling) throw error;
		}
		await sleep(backoffMs);
		backoffMs = Math.min(backoffMs * 2, BACKOFF_MS.most);
	}
}

async function dialOnce(options: DialOptions, timeoutMs: number): Promise<Dialed> {
	const { address, port, opened } = options;
	try {
		const socket = await connectTcp(address, port, timeoutMs, opened);
		return { socket, raw: socket };
	} catch (error) {
		if (isSupervisors(port) || !isRefusal(error)) throw portClosed(port, error);
		return await tunnel(options, timeoutMs);
	}
}

function connectTcp(
	address: string,
	port: number,
	timeoutMs: number,
	opened: (socket: Socket) => void,
): Promise<Socket> {
	return new Promise((resolve, reject) => {
		// Nobody probes it: whether the guest is there is known here, and one that stands still for a while is.
		const socket = connect({ host: address, port, noDelay: true });
		opened(socket);
		const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
		const connected = () => {
			settle();
			resolve(socket);
		};
		const failed = (error: Error) => {
			settle();
			reject(error);
		};
		const closed = () => failed(new Error("closed while connecting"));
		const settle = () => {
			clearTimeout(timer);
			socket.off("connect", connected).off("error", failed).off("close", closed);
		};
		socket.once("connect", connected).once("error", failed).once("close", closed);
	});
}

/** Asks the supervisor to connect to a port inside. */
async function tunnel({ address, port, opened }: DialOptions, timeoutMs: number): Promise<Dialed> {
	const raw = await connectTcp(address, GUEST.hostPort, timeoutMs, opened).catch((error: unknown) => {
		throw portClosed(port, error);
	});
	return await new Promise((resolve, reject) => {
		const target = `127.0.0.1:${port}`;
		const ask = request({
			createConnection: () => raw,
			method: "CONNECT",
			path: target,
			headers: { host: target },
			timeout: CONNECT_TIMEOUT_MS,
		});
		const fail = (why: string, cause?: unknown) => {
			raw.destroy();
			reject(portClosed(port, new Error(why, { cause })));
		};
		ask.once("connect", (response, socket, head) => {
			if (response.statusCode !== 200) return fail(`the supervisor answered ${response.statusCode}`);
			if (head.length > 0) socket.unshift(head);
			resolve({ socket: raw, raw });
		});
		ask.once("response", (response) => fail(`the supervisor answered ${response.statusCode}`));
		ask.once("timeout", () => fail("the supervisor did not answer"));
		ask.on("error", (error) => fail("the supervisor hung up", error));
		ask.end();
	});
}

function isSupervisors(port: number): boolean {
	return port === GUEST.supervisorPort || port === GUEST.hostPort;
}

function isRefusal(error: unknown): boolean {
	return error instanceof Error && "code" in error && error.code === "ECONNREFUSED";
}

function portClosed(port: number, cause: unknown): DormiceError {
	return new DormiceError("guest_unhealthy", `Nobody answers on port ${port} of the sandbox.`, { cause });
}
