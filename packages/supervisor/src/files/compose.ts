import { realpath, rm, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { DormiceError } from "@dormice/protocol";
import { filing } from "../errno.ts";
import type { Placer, Placing } from "./place.ts";
import { openRegular, readPart, readSmall, requireRegular } from "./regular.ts";

/** Writes the sources one after the other into `destination`, then removes them. */
export async function composeFile(
	placer: Placer,
	{ sources, destination }: { sources: readonly string[]; destination: string },
	placing: Placing,
): Promise<void> {
	if (sources.length === 0) throw new DormiceError("invalid_argument", "source_paths is empty");
	for (const source of sources) requireRegular(source, await filing(`reading '${source}'`, stat(source)));
	await placer.place(destination, Readable.from(concatenated(sources)), placing);
	const written = await filing(`reading '${destination}'`, realpath(destination));
	for (const source of sources) {
		// By whatever name: it is what was just written.
		if ((await realpath(source).catch(() => source)) === written) continue;
		await filing(`removing '${source}'`, rm(source));
		await placer.attributes.forget(source);
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
