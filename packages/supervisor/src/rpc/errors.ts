import type { Interceptor } from "@connectrpc/connect";
import { REASONS, toConnectError } from "@dormice/protocol";
import { fileError } from "../errno.ts";
import { log } from "../log.ts";

/** Every failure of a call leaves as a Connect error of ours, and the unexpected ones are logged. */
export const translateErrors: Interceptor = (next) => async (request) => {
	const fail = (error: unknown) => {
		const wire = toConnectError(error instanceof Error && "errno" in error ? fileError(error, "using a file") : error);
		if (wire.code === REASONS.internal.code) {
			log("warn", `${request.service.typeName}/${request.method.name} failed`, { error: wire.message });
		}
		return wire;
	};
	try {
		const response = await next(request);
		return response.stream ? { ...response, message: translated(response.message, fail) } : response;
	} catch (error) {
		throw fail(error);
	}
};

async function* translated<T>(messages: AsyncIterable<T>, fail: (error: unknown) => Error): AsyncGenerator<T> {
	try {
		yield* messages;
	} catch (error) {
		throw fail(error);
	}
}
