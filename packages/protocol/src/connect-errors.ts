import { Code, ConnectError } from "@connectrpc/connect";
import { DormiceError, isReason, REASONS, type Reason } from "./errors.ts";

/** The response trailer/header that carries our reason beside Connect's coarser code. */
export const REASON_HEADER = "dormice-reason";

/** Ours → the wire's. */
export function toConnectError(error: unknown): ConnectError {
	if (error instanceof ConnectError) return error;
	if (error instanceof DormiceError) {
		return new ConnectError(
			error.message,
			REASONS[error.reason].code,
			{ [REASON_HEADER]: error.reason },
			undefined,
			error,
		);
	}
	return new ConnectError(
		error instanceof Error ? error.message : String(error),
		Code.Internal,
		undefined,
		undefined,
		error,
	);
}

/** The wire's → ours. `fallback` names the reason when the other side gave none (it was not there to give one). */
export function fromConnectError(error: unknown, fallback: Reason): DormiceError {
	if (error instanceof DormiceError) return error;
	const wire = ConnectError.from(error);
	const reason = wire.metadata.get(REASON_HEADER);
	return new DormiceError(reason !== null && isReason(reason) ? reason : fallback, wire.rawMessage, {
		cause: error,
	});
}
