import { pino } from "pino";

/** One JSON line an event, on standard output. */
export const log = pino({ name: "engine", base: null });

/** Does what may fail without harm, and says so at debug level. */
export async function bestEffort(what: string, work: Promise<unknown>): Promise<void> {
	try {
		await work;
	} catch (error) {
		log.debug({ err: error, what }, "best effort failed");
	}
}
