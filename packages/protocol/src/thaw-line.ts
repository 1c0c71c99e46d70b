import type { Duplex } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/**
 * The wire of the verb that somebody's request waits for. A connection to the engine's socket is upgraded once and kept;
 * over it thaws are lines: `TAG SANDBOX_ID`, answered by `TAG`, or `TAG REASON MESSAGE`, each when it is ready. Between
 * two processes that were idle for a second an HTTP request takes 2.6 ms, a line 0.6.
 */
export const THAW_LINE = { path: "/dormice.engine.Engine/ThawLine", upgrade: "dormice-thaw", maxBytes: 1024 } as const;

/** Calls back with each line that comes over a connection, and closes it when one is longer than `maxBytes`. */
export function readLines(connection: Duplex, maxBytes: number, onLine: (line: string) => void): void {
	const decoder = new StringDecoder("utf8");
	let begun = "";
	connection.on("data", (chunk: Buffer) => {
		const lines = (begun + decoder.write(chunk)).split("\n");
		if (lines.some(({ length }) => length > maxBytes))
			connection.destroy(new Error(`a line of over ${maxBytes} bytes`));
		if (connection.destroyed) return;
		begun = lines.pop() ?? "";
		for (const line of lines) onLine(line);
	});
}
