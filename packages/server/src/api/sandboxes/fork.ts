import { DormiceError, publicState } from "@dormice/protocol";
import { Type } from "typebox";
import { checkMinimum } from "../../isolation/choice.ts";
import { fork } from "../../sandboxes/fork.ts";
import { MEMBER } from "../access.ts";
import type { App } from "../app.ts";
import { errorBody } from "../errors.ts";
import type { Platform } from "../platform.ts";
import { toSandbox } from "./answers.ts";
import { GenerationReference, SandboxParams, Seconds, tags } from "./schemas.ts";
import { checkTimeout } from "./timeout.ts";

const MAX_COUNT = 100;
const DEFAULT_SECONDS = 15;

const body = Type.Object({
	timeout: Type.Optional(Seconds),
	count: Type.Optional(Type.Integer()),
	/** Ours: a state of the sandbox's history, in place of what it is now. */
	generationID: Type.Optional(GenerationReference),
});

/** Sandboxes that go on from what another is, or was. */
export function forkRoutes(app: App, platform: Platform): void {
	const { host, templates } = platform;
	const schema = { tags, params: SandboxParams, body };
	app.post("/sandboxes/:sandboxID/fork", { config: MEMBER, schema }, async ({ id, params, body, team }, reply) => {
		const count = body.count ?? 1;
		if (count < 1) throw new DormiceError("invalid_argument", "Count must be at least 1");
		if (count > MAX_COUNT) throw new DormiceError("invalid_argument", `Count cannot be greater than ${MAX_COUNT}`);
		const timeoutSeconds = checkTimeout(host.config, body.timeout ?? DEFAULT_SECONDS, 1);
		const resident = host.table.owned(params.sandboxID, team.id);
		checkMinimum(resident.record.isolation, team.minimumIsolation);
		const { generationID: generationId } = body;
		if (generationId === undefined && publicState(resident.record) === "paused") {
			throw new DormiceError(
				"state_conflict",
				`Sandbox '${resident.id}' cannot be forked while in 'paused' state: connect to it, or name one of its generations`,
			);
		}
		const results = await fork(host, templates, resident, { count, timeoutSeconds, generationId });
		return reply.code(201).send(results.map((result) => answer(result, platform, id)));
	});
}

/** Each fork's own answer: a request of which one failed has not failed. */
function answer(result: Awaited<ReturnType<typeof fork>>[number], platform: Platform, requestId: string) {
	if (result.status === "fulfilled") return { sandbox: toSandbox(result.value.record, platform) };
	const { reason: err } = result;
	platform.host.log.warn({ err, requestId }, "a fork did not start");
	return { error: errorBody(err, requestId) };
}
