import { rm, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { DormiceError } from "@dormice/protocol";
import { filing } from "../errno.ts";
import { type Placing, placeFile } from "./place.ts";
import { openRegular, readPart, readSmall, requireRegular } from "./regular.ts";

/** Writes the sources one after the other into `destination`, then removes them. */
export async function composeFile(sources: readonly string[], destination: string, placing: Placing): Promise<void> {
	if (sources.length === 0) throw new DormiceError("invalid_argument", "source_paths is empty");
	for (const source of sources) requireRegular(source, await filing(`reading '${source}'`, stat(source)));
	await placeFile(destination, Readable.from(concatenated(sources)), placing);
	for (const source of sources) {
		if (source === destination) continue;
		await filing(`removing '${source}'`, rm(source));
		await placing.attributes.forget(source);
	}
}

async function* concatenated(sources: readonly string[]): AsyncGenerator<Uint8Array> {
	for (const source of sources) {
		await using opened = await openRegular(source);
		const small = await readSmall(source, opened);
		if (small) yield small;
		else yield* readPart(source, opened, { start: 0, end: opened.info.size - 1 });
	}
}
