export type Level = "debug" | "info" | "warn" | "error";

const LONGEST_LINE = 4096;

/**
 * One JSON object a line on stdout, which the platform keeps as the sandbox's log. What the user's processes print
 * never comes here.
 */
export function log(level: Level, message: string, fields: Record<string, unknown> = {}): void {
	const time = new Date().toISOString();
	let line = JSON.stringify({ time, level, message, fields });
	if (line.length > LONGEST_LINE) {
		line = JSON.stringify({ time, level, message: message.slice(0, 1024), fields: { truncated: true } });
	}
	process.stdout.write(`${line}\n`);
}

/** Waits for what may fail without harm, and says at debug level when it did. */
export async function bestEffort(what: string, work: Promise<unknown>): Promise<void> {
	try {
		await work;
	} catch (error) {
		log("debug", `${what} failed`, { error: error instanceof Error ? error.message : String(error) });
	}
}
