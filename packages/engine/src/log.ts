import { pino } from "pino";

/** One JSON line an event, on standard output. */
export const log = pino({ name: "engine", base: null });

/** Does what may fail without harm, and says so at debug level. */
export async function bestEffort<T>(what: string, work: Promise<T>): Promise<T | undefined> {
	try {
		return await work;
	} catch (error) {
		log.debug({ err: error, what }, "best effort failed");
		return undefined;
	}
}
