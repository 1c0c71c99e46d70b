import { createReadStream } from "node:fs";
import { rm, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { DormiceError } from "@dormice/protocol";
import { filing } from "../errno.ts";
import { type Placing, placeFile } from "./place.ts";

/** Writes the sources one after the other into `destination`, then removes them. */
export async function composeFile(sources: readonly string[], destination: string, placing: Placing): Promise<void> {
	if (sources.length === 0) throw new DormiceError("invalid_argument", "source_paths is empty");
	for (const source of sources) {
		const info = await filing(`reading '${source}'`, stat(source));
		if (!info.isFile()) throw new DormiceError("invalid_argument", `path '${source}' is not a regular file`);
	}
	await placeFile(destination, Readable.from(concatenated(sources)), placing);
	for (const source of sources) {
		if (source === destination) continue;
		await filing(`removing '${source}'`, rm(source));
		await placing.attributes.forget(source);
	}
}

async function* concatenated(sources: readonly string[]): AsyncGenerator<Uint8Array> {
	for (const source of sources) yield* createReadStream(source, { highWaterMark: 256 * 1024 });
}
