import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

/** What a machine prints passes a process on its way to the log (`native/log.c`): the end of it comes a moment later. */
const COMES_WITHIN_MS = 100;

/** What a machine that ended said. */
export async function lastWords(log: string): Promise<string> {
	await sleep(COMES_WITHIN_MS);
	return await readFile(log, "utf8").catch(() => "");
}
