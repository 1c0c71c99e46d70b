import { DormiceError, GUEST } from "@dormice/protocol";
import { NotHttp } from "./answer.ts";
import type { Passage } from "./forward.ts";
import { failed, noAnswer, notHttp, portClosed, type Refusal } from "./refusal.ts";

/** An answer that never began, or may not be passed on, as a refusal. */
export function refusalOf(error: unknown, passage: Pick<Passage, "lease" | "log" | "suspect">): Refusal {
	const { lease, log, suspect } = passage;
	const { sandboxId, port, link } = lease;
	if (link.closed) return failed(sandboxId, error);
	log.debug({ err: error, sandbox: sandboxId, port }, "the sandbox did not answer");
	if (error instanceof NotHttp) return notHttp(sandboxId, port, error.message);
	const code = error instanceof Error && "code" in error ? String(error.code) : "";
	if (code.startsWith("HPE_")) return notHttp(sandboxId, port, parserSays(error));
	if (port === GUEST.supervisorPort) suspect();
	if (error instanceof DormiceError) return portClosed(sandboxId, port);
	if (code !== "") return noAnswer(sandboxId, port);
	log.error({ err: error, sandbox: sandboxId, port }, "a request could not be forwarded: a mistake of ours");
	return failed(sandboxId, error);
}

function parserSays(error: unknown): string {
	const reason = error instanceof Error && "reason" in error ? String(error.reason) : "";
	return reason === "" ? "it cannot be parsed" : reason.replace(/[^\x20-\x7e]/g, "?");
}
