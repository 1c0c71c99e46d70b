import { stat } from "node:fs/promises";

/** What programs said of themselves, by how their files look to `stat`: asking starts them, and one that is the same answers the same. */
export class AskedOnce<T> {
	readonly #answers = new Map<string, T>();

	/** Answers what is the caller's to change. What is not worth keeping (`keeps`) is asked again the next time. */
	async answer(path: string, ask: () => Promise<T>, keeps: (answer: T) => boolean): Promise<T> {
		const looks = await looksOf(path);
		const known = this.#answers.get(looks);
		if (known !== undefined) return structuredClone(known);
		const answer = await ask();
		if (keeps(answer)) this.#answers.set(looks, structuredClone(answer));
		return answer;
	}
}

async function looksOf(path: string): Promise<string> {
	const info = await stat(path, { bigint: true }).catch(() => undefined);
	return info === undefined ? path : [path, info.dev, info.ino, info.size, info.mtimeNs].join(" ");
}
