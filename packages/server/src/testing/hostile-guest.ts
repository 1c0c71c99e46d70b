import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { Random } from "./random.ts";

const BASES = [
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTrailer: X-Sum\r\n\r\nhello",
	"HTTP/1.1 204 No Content\r\nTrailer: X-Sum\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nETag: x\r\nTrailer: a, b\r\n\r\n",
	"HTTP/1.0 200 OK\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\nuntil the end",
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nbytes",
	"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\r\n",
];

const STATUS_LINES = [
	...["HTTP/1.1 000 Zero", "HTTP/1.1 099 Low", "HTTP/1.1 999 High", "HTTP/1.1 1000 Long", "HTTP/1.1 20 Short"],
	...["HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1  200 OK", "HTTP/1.1 -1 OK", "HTTP/1.1 2e2 OK", "HTTP/9.9 200 OK"],
	...["HTTP/1.1 200 O\x01K", "HTTP/1.1 200 \x7f", "HTTP/1.1 200 a\rb", "HTTP/1.1 200 \xff\xfe", "HTTP/1.1 199 Hm"],
	...[
		"ICY 200 OK",
		"http/1.1 200 ok",
		"HTTP/1.1 200 OK\nX: y",
		"",
		"\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK",
	],
];

const HEADERS = [
	...["Trailer: X-Sum", "Trailer: content-length", "Trailer: \x01", "Content-Length: 5", "Content-Length: 4, 5"],
	...["Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length: 0x5", "Content-Length:"],
	...["Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: identity", "TE: trailers"],
	...["Connection: close", "Connection: Upgrade", "Upgrade: h2c", "Keep-Alive: timeout=0", "Date: never", "X: \x00"],
	...["X: a\r\n b", " X: folded", "X\x01: y", "X : y", ": empty", "novalue", "X: \xe4\xf6", `X: ${"y".repeat(70_000)}`],
	...["Set-Cookie: a\x7fb", "Location: \r\nX: y", "Content-Type: \t", "__proto__: x", "constructor: x"],
];

const INFORMATIONAL = ["100 Continue", "102 Processing", "103 Early Hints\r\nLink: </x>", "150 Odd", "101 Again"];

/** Answers of which any may be broken, in a sequence that comes again with its seed. */
export function* hostileAnswers(random: Random): Generator<Buffer> {
	for (;;) {
		let text: string = random.pick(BASES);
		for (let n = random.between(0, 3); n > 0; n--) text = mutate(text, random);
		if (random.next() < 0.15) {
			const one = `HTTP/1.1 ${random.pick(INFORMATIONAL)}\r\n\r\n`;
			text = one.repeat(random.next() < 0.2 ? random.between(90, 5000) : random.between(1, 5)) + text;
		}
		yield Buffer.from(text, "latin1");
	}
}

function mutate(text: string, random: Random): string {
	const at = random.between(0, text.length);
	const head = text.indexOf("\r\n");
	switch (random.between(0, 8)) {
		case 0:
			return random.pick(STATUS_LINES) + text.slice(Math.max(head, 0));
		case 1:
		case 2:
			return `${text.slice(0, head + 2)}${random.pick(HEADERS)}\r\n${text.slice(head + 2)}`;
		case 3:
			return text.slice(0, at);
		case 4:
			return text.slice(0, at) + String.fromCharCode(random.between(0, 255)) + text.slice(at + 1);
		case 5:
			return text.slice(0, at) + random.pick(["\r", "\n", "\0", "\r\n", "\r\n\r\n", ":", "0\r\n\r\n"]) + text.slice(at);
		case 6:
			return text.replace(
				/\r\n5\r\n/,
				`\r\n${random.pick(["-5", "5;x=y", "fffffffff", "g", "5 ", "00000005", ""])}\r\n`,
			);
		case 7:
			return text + random.pick(BASES);
		default:
			return text.replaceAll("\r\n", "\n");
	}
}

/** A program in a sandbox that reads a request and answers with the next of a sequence, whatever was asked. */
export class HostileGuest implements AsyncDisposable {
	readonly #server: Server;

	private constructor(server: Server) {
		this.#server = server;
	}

	static async listen(address: string, port: number, seed: number): Promise<HostileGuest> {
		const answers = hostileAnswers(new Random(seed));
		const random = new Random(seed + 1);
		const server = createServer((socket: Socket) => {
			socket.on("error", () => socket.destroy());
			socket.on("data", () => {
				const answer = answers.next().value as Buffer;
				const cut = random.next();
				if (cut < 0.03) return void socket.resetAndDestroy();
				if (cut < 0.5) return void socket.end(answer);
				// It goes on with the connection; a client that waits for more is sent away.
				socket.write(answer);
				setTimeout(() => socket.end(), 5);
			});
		});
		await once(server.listen(port, address), "listening");
		return new HostileGuest(server);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#server[Symbol.asyncDispose]();
	}
}
