import { debuglog } from "node:util";

const debug = debuglog("dormice");

/** The outcome, or `undefined` when it failed and that does not matter; NODE_DEBUG=dormice shows such failures. */
export async function bestEffort<T>(what: string, promise: Promise<T>): Promise<T | undefined> {
	try {
		return await promise;
	} catch (error) {
		debug("could not %s: %s", what, error instanceof Error ? error.message : error);
		return undefined;
	}
}
