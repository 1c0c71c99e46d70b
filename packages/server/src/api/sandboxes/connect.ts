import { DormiceError } from "@dormice/protocol";
import { Type } from "typebox";
import { setEnd } from "../../sandboxes/timeout.ts";
import { awaken, type WakeOptions } from "../../sandboxes/wake.ts";
import { MEMBER } from "../access.ts";
import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { toSandbox } from "./answers.ts";
import { SandboxParams, Seconds, tags } from "./schemas.ts";
import { after, checkTimeout } from "./timeout.ts";

const memory = Type.Optional(Type.Boolean());
const params = SandboxParams;

const VERSIONS = [
	{ url: "/sandboxes/:sandboxID/connect", body: Type.Object({ timeout: Seconds, memory }), timeoutSeconds: 15 },
	{
		url: "/v2/sandboxes/:sandboxID/connect",
		body: Type.Object({ timeout: Type.Optional(Seconds), memory }),
		timeoutSeconds: 300,
	},
];

/** Makes sure that a sandbox runs, waking it if it sleeps. */
export function connectRoutes(app: App, platform: Platform): void {
	const { host } = platform;
	for (const { url, body, timeoutSeconds } of VERSIONS) {
		app.post(url, { config: MEMBER, schema: { tags, params, body } }, async ({ params, body, team }, reply) => {
			const seconds = checkTimeout(host.config, body.timeout ?? timeoutSeconds, 0);
			const resident = host.table.owned(params.sandboxID, team.id);
			const options: WakeOptions = { memory: body.memory ?? true, timeoutSeconds: seconds, reason: "api" };
			const woken = await awaken(host, resident, options);
			// Somebody else's waking may have given it less time.
			await setEnd(host, resident, after(seconds), { extendOnly: true });
			return reply.code(woken ? 201 : 200).send(toSandbox(resident.record, platform));
		});
	}

	const resumeBody = Type.Object({
		timeout: Type.Optional(Seconds),
		autoPause: Type.Optional(Type.Boolean()),
		memory,
	});
	const resume = { tags, params, body: resumeBody };
	app.post(
		"/sandboxes/:sandboxID/resume",
		{ config: MEMBER, schema: resume },
		async ({ params, body, team }, reply) => {
			const timeoutSeconds = checkTimeout(host.config, body.timeout ?? 15, 0);
			const resident = host.table.owned(params.sandboxID, team.id);
			const { memory = true, autoPause } = body;
			if (!(await awaken(host, resident, { memory, autoPause, timeoutSeconds, reason: "api" }))) {
				throw new DormiceError("state_conflict", `Sandbox ${resident.id} is already running`);
			}
			return reply.code(201).send(toSandbox(resident.record, platform));
		},
	);
}
