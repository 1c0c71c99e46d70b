import type { Target as Platform } from "../target.ts";
import type { Target } from "./http.ts";

export const PORT = 3000;

/** A Node server that holds this much memory, which cannot be shared or left out, and counts requests. */
export function server(memoryMiB: number): string {
	return `
const { randomBytes } = require("crypto");
const memory = Array.from({ length: ${memoryMiB} }, () => randomBytes(1 << 20));
let count = 0;
require("http").createServer((_, response) => response.end(String(++count + memory[0][0] * 0))).listen(${PORT}, "0.0.0.0");
`;
}

/** Where the program in this sandbox answers, through the platform's gateway. */
export function gateway({ sandboxUrl }: Platform, sandboxId: string): Target {
	const { hostname, port } = new URL(sandboxUrl);
	const headers = { "E2b-Sandbox-Id": sandboxId, "E2b-Sandbox-Port": String(PORT) };
	return { host: hostname, port: Number(port), headers };
}
