import { DormiceError, type Reason } from "@dormice/protocol";
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import type { Logger } from "../log.ts";
import type { Routes } from "./known-routes.ts";

/** What every answer that is not 2xx carries. */
interface ErrorBody {
	/** The HTTP status again: clients look here. */
	code: number;
	message: string;
	reason: Reason;
	/** With a 5xx: find it in the server's log. */
	requestId?: string;
}

/** Their messages were written for the operator, not for whoever calls. */
const PRIVATE: readonly Reason[] = ["internal", "command_failed"];

/** Turns whatever a handler threw into an answer, and logs what was not the caller's doing. */
export function answerError(log: Logger) {
	return (error: FastifyError | DormiceError | Error, request: FastifyRequest, reply: FastifyReply): void => {
		const known = toDormiceError(error);
		const { reason, status } = known;
		const body = errorBody(known, request.id);
		if (status >= 500) {
			const details = { err: error, requestId: request.id, method: request.method, url: request.url };
			if (PRIVATE.includes(reason)) log.error(details, "a request failed");
			else if (status === 503) log.info({ requestId: request.id, reason, message: known.message }, "not now");
			else log.warn(details, "a request could not be served");
		}
		if (status === 503 || status === 429) reply.header("retry-after", String(known.retryAfterSeconds ?? 2));
		void reply.code(status).send(body);
	};
}

/** What a caller is told of a failure. What was written for the operator is in the log, under the request's id. */
export function errorBody(error: Error, requestId: string): ErrorBody {
	const { reason, status, message } = toDormiceError(error);
	if (status < 500) return { code: status, message, reason };
	if (!PRIVATE.includes(reason)) return { code: status, message, reason, requestId };
	return {
		code: status,
		message: `Internal error. The server's log has it under request ${requestId}.`,
		reason,
		requestId,
	};
}

/** A path that is there answers 405 and says with which methods; any other 404. */
export function answerUnknownRoute(routes: Routes) {
	return (request: FastifyRequest, reply: FastifyReply): void => {
		const path = request.url.split("?", 1)[0] ?? "";
		const allowed = routes.methodsOf(path).join(", ");
		const refused =
			allowed === ""
				? new DormiceError("route_not_found", `There is no ${request.method} ${path}: see /openapi.json`)
				: new DormiceError("method_not_allowed", `${path} takes ${allowed}, and no ${request.method}.`);
		if (allowed !== "") reply.header("allow", allowed);
		void reply.code(refused.status).send(errorBody(refused, request.id));
	};
}

function toDormiceError(error: FastifyError | DormiceError | Error): DormiceError {
	if (error instanceof DormiceError) return error;
	// Fastify's own: a body that is too long, or no JSON.
	if ("statusCode" in error && error.statusCode === 413) {
		return new DormiceError(
			"body_too_large",
			"The body is longer than the API takes: 4 MiB. Files go to the sandbox's own address.",
			{ cause: error },
		);
	}
	if ("statusCode" in error && error.statusCode !== undefined && error.statusCode < 500) {
		return new DormiceError("invalid_argument", error.message, { cause: error });
	}
	if (error instanceof SyntaxError)
		return new DormiceError("invalid_argument", `The body is no JSON: ${error.message}`);
	return new DormiceError("internal", error.message, { cause: error });
}
