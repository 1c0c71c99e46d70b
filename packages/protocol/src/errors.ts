import { Code } from "@connectrpc/connect";

/**
 * Every reason for which Dormice refuses or fails, with the HTTP status and Connect code it travels as.
 * `docs/errors.md` explains each; a test holds the two together.
 */
export const REASONS = {
	invalid_argument: { status: 400, code: Code.InvalidArgument },
	unauthenticated: { status: 401, code: Code.Unauthenticated },
	permission_denied: { status: 403, code: Code.PermissionDenied },
	isolation_below_minimum: { status: 403, code: Code.PermissionDenied },
	sandbox_not_found: { status: 404, code: Code.NotFound },
	template_not_found: { status: 404, code: Code.NotFound },
	generation_not_found: { status: 404, code: Code.NotFound },
	rootfs_not_found: { status: 404, code: Code.NotFound },
	key_not_found: { status: 404, code: Code.NotFound },
	team_not_found: { status: 404, code: Code.NotFound },
	process_not_found: { status: 404, code: Code.NotFound },
	path_not_found: { status: 404, code: Code.NotFound },
	watcher_not_found: { status: 404, code: Code.NotFound },
	route_not_found: { status: 404, code: Code.NotFound },
	method_not_allowed: { status: 405, code: Code.Unimplemented },
	not_acceptable: { status: 406, code: Code.InvalidArgument },
	output_out_of_range: { status: 416, code: Code.OutOfRange },
	already_exists: { status: 409, code: Code.AlreadyExists },
	state_conflict: { status: 409, code: Code.FailedPrecondition },
	body_too_large: { status: 413, code: Code.InvalidArgument },
	not_storable: { status: 422, code: Code.FailedPrecondition },
	disk_full: { status: 507, code: Code.ResourceExhausted },
	// 429, for E2B's clients repeat a create after that and not after 503.
	capacity_unavailable: { status: 429, code: Code.ResourceExhausted },
	engine_unavailable: { status: 503, code: Code.Unavailable },
	database_unavailable: { status: 503, code: Code.Unavailable },
	generation_corrupt: { status: 500, code: Code.DataLoss },
	disk_damaged: { status: 500, code: Code.DataLoss },
	generation_incompatible: { status: 409, code: Code.FailedPrecondition },
	isolation_unavailable: { status: 503, code: Code.FailedPrecondition },
	guest_unhealthy: { status: 500, code: Code.Internal },
	command_failed: { status: 500, code: Code.Internal },
	deadline_exceeded: { status: 504, code: Code.DeadlineExceeded },
	not_set_up: { status: 503, code: Code.FailedPrecondition },
	already_running: { status: 409, code: Code.AlreadyExists },
	not_implemented: { status: 501, code: Code.Unimplemented },
	internal: { status: 500, code: Code.Internal },
} as const;

export type Reason = keyof typeof REASONS;

/** Whether what came over a wire names one of them. */
export function isReason(text: string): text is Reason {
	return Object.hasOwn(REASONS, text);
}

/** The one error class of Dormice: a closed `reason`, and a sentence that says what to do next. */
export class DormiceError extends Error {
	readonly reason: Reason;
	/** After how many seconds trying again makes sense, where that is known. */
	readonly retryAfterSeconds: number | undefined;

	constructor(reason: Reason, message: string, options?: { cause?: unknown; retryAfterSeconds?: number }) {
		super(message, options);
		this.name = "DormiceError";
		this.reason = reason;
		this.retryAfterSeconds = options?.retryAfterSeconds;
	}

	/** The HTTP status this travels as. */
	get status(): number {
		return REASONS[this.reason].status;
	}
}
