import { Agent, type ClientRequestArgs } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { DormiceError } from "@dormice/protocol";
import { type Dialed, dial } from "./dial.ts";

export interface LinkOptions {
	/** The host's address for the sandbox's ports. */
	address: string;
	/** Ports that speak TLS inside; their certificates are the sandbox's own affair. */
	httpsPorts?: readonly number[] | undefined;
	/** The sandbox was started just now: its servers may still be on their way to listen. */
	fresh: boolean;
}

/** How long after a start a closed port may still open. */
const SETTLING_MS = 1_000;
const IDLE_CONNECTIONS = 32;

/**
 * Everything the host has open to one sandbox while its processes run. A checkpoint must find no TCP connection from
 * outside, so all of them are opened here, and closing the link resets them at once.
 */
export class Link implements Disposable {
	readonly address: string;
	/** Reuses connections; a request made with it goes to the sandbox, whatever host it names. */
	readonly agent: Agent;
	/** Uses each connection once: for requests after which it is not known what is still under way on it. */
	readonly onceAgent: Agent;
	/** When its supervisor has been told who it is; rejects when it answers nothing. */
	introduced: Promise<void> = Promise.resolve();
	/** `performance.now()` when the host began to speak to it. */
	readonly openedAtMs = performance.now();
	readonly #httpsPorts: readonly number[];
	readonly #settledAtMs: number;
	readonly #sockets = new Set<Socket>();
	readonly #onClose = new Set<() => void>();
	#closed = false;
	#heard = false;
	#turnedAtMs = performance.now();

	constructor({ address, httpsPorts = [], fresh }: LinkOptions) {
		this.address = address;
		this.#httpsPorts = httpsPorts;
		this.#settledAtMs = fresh ? performance.now() + SETTLING_MS : 0;
		this.agent = new LinkAgent(this, { keepAlive: true });
		this.onceAgent = new LinkAgent(this, { keepAlive: false });
	}

	get closed(): boolean {
		return this.#closed;
	}

	/** Whether the sandbox has said anything to anybody through this link. */
	get heard(): boolean {
		return this.#heard || [...this.#sockets].some(({ bytesRead }) => bytesRead > 0);
	}

	/** Requests and connections that go through this link now. */
	get busy(): number {
		return this.#onClose.size;
	}

	/** `performance.now()` since when it has been busy, or quiet. */
	get turnedAtMs(): number {
		return this.#turnedAtMs;
	}

	/** Somebody is about to use it: its quiet begins anew. */
	touch(): void {
		if (this.busy === 0) this.#turnedAtMs = performance.now();
	}

	/** Calls `end` at once when the link closes. Returns the way to take that back. */
	hold(end: () => void): () => void {
		if (this.#closed) throw closedError();
		const own = () => end();
		this.touch();
		this.#onClose.add(own);
		return () => {
			if (this.#onClose.delete(own)) this.touch();
		};
	}

	/** A connection to a port of the sandbox. Throws `guest_unhealthy` when nobody answers there. */
	async open(port: number): Promise<Duplex> {
		if (this.#closed) throw closedError();
		const { socket, raw }: Dialed = await dial({
			address: this.address,
			port,
			settledAtMs: this.#settledAtMs,
			opened: (socket) => this.#track(socket),
		});
		if (this.#closed) {
			raw.destroy();
			throw closedError();
		}
		if (!this.#httpsPorts.includes(port)) return socket;
		// The sandbox's own self-signed certificate is as good as any: the way there is the host's own network.
		return connectTls({ socket, rejectUnauthorized: false });
	}

	#track(socket: Socket): void {
		if (this.#closed) {
			socket.destroy();
			return;
		}
		this.#sockets.add(socket);
		socket.once("close", () => {
			this.#heard ||= socket.bytesRead > 0;
			this.#sockets.delete(socket);
		});
	}

	/**
	 * Resets every connection and ends every request at once, so that the sandbox sees it before it is stopped. Never throws:
	 * a pause and a kill go on whatever one request's end may do.
	 */
	[Symbol.dispose](): void {
		this.#closed = true;
		// Before anybody can close them politely: a connection that only one side closed is still one at a checkpoint.
		for (const socket of this.#sockets) cut(socket);
		for (const end of this.#onClose) whateverHappens(end);
		this.#onClose.clear();
		for (const agent of [this.agent, this.onceAgent]) agent.destroy();
	}
}

/** Calls it; that it threw is a mistake of ours, told to whoever listens to the process's warnings. */
function whateverHappens(end: () => void): void {
	try {
		end();
	} catch (error) {
		process.emitWarning(new Error("ending what was open to a sandbox failed", { cause: error }));
	}
}

/** Ends a connection by a reset where that is possible. */
function cut(socket: Socket): void {
	// Node waits for a connection that is being made before it resets it; and one whose end was sent already cannot be
	// reset: the attempt leaves its handle behind, which then keeps the event loop spinning.
	if (socket.connecting || socket.writableEnded) socket.destroy();
	else socket.resetAndDestroy();
}

function closedError(): DormiceError {
	return new DormiceError("state_conflict", "The sandbox is being paused or killed.");
}

/** An agent whose connections come from the link. */
class LinkAgent extends Agent {
	readonly #link: Link;

	constructor(link: Link, { keepAlive }: { keepAlive: boolean }) {
		super({ keepAlive, maxFreeSockets: IDLE_CONNECTIONS, scheduling: "lifo" });
		this.#link = link;
	}

	/** Without the probes that would close what a guest has not answered on for ten seconds. */
	override keepSocketAlive(socket: Duplex): boolean {
		const keeps = super.keepSocketAlive(socket);
		if (socket instanceof Socket) socket.setKeepAlive(false);
		// It answers, whatever its type says.
		return keeps as unknown as boolean;
	}

	override createConnection(
		options: ClientRequestArgs,
		callback: (error: Error | null, stream: Duplex) => void,
	): undefined {
		this.#link.open(Number(options.port)).then(
			(socket) => callback(null, socket),
			// On an error Node reads no second argument; its type has no way to say so.
			(error: Error) => (callback as (error: Error) => void)(error),
		);
	}
}
