import { type Logger, pino } from "pino";

export type { Logger } from "pino";

export function openLog(level: string): Logger {
	return pino({ level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime });
}

/** For what may fail without anybody having to act: logged at debug, never thrown. */
export async function bestEffort<T>(log: Logger, what: string, work: Promise<T>): Promise<T | undefined> {
	try {
		return await work;
	} catch (error) {
		log.debug({ err: error }, `${what} failed`);
		return undefined;
	}
}
