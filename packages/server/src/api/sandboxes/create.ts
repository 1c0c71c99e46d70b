import { DormiceError } from "@dormice/protocol";
import type { Static } from "typebox";
import type { Team } from "../../identity/identity.ts";
import { chooseIsolation, keepIsolation } from "../../isolation/choice.ts";
import { checkAttached } from "../../sandboxes/bounds.ts";
import { createSandbox, fromTemplate, type Source } from "../../sandboxes/create.ts";
import { checkNetwork } from "../../sandboxes/network.ts";
import type { Rest } from "../../sandboxes/rest.ts";
import { findSnapshot, sourceOf, variablesOf } from "../../snapshots/snapshots.ts";
import { MEMBER } from "../access.ts";
import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { toSandbox } from "./answers.ts";
import { CreateBody, tags } from "./schemas.ts";
import { checkTimeout } from "./timeout.ts";

interface Version {
	url: string;
	timeoutSeconds: number;
	/** Whether a client may do without an access token. */
	mayBeOpen: boolean;
}

const VERSIONS: readonly Version[] = [
	{ url: "/sandboxes", timeoutSeconds: 15, mayBeOpen: true },
	{ url: "/v2/sandboxes", timeoutSeconds: 300, mayBeOpen: false },
];

/** Makes a sandbox; answers when it answers. */
export function createRoutes(app: App, platform: Platform): void {
	for (const { url, timeoutSeconds, mayBeOpen } of VERSIONS) {
		app.post(url, { config: MEMBER, schema: { tags, body: CreateBody } }, async ({ body, team }, reply) => {
			const secure = body.secure === true || !mayBeOpen;
			check(body, secure);
			const metadata = body.metadata ?? {};
			const { source, envVars: inherited } = await resolve(platform, team, body);
			const envVars = { ...inherited, ...body.envVars };
			checkAttached({ metadata, envVars });
			const resident = await createSandbox(platform.host, {
				teamId: team.id,
				source,
				timeoutSeconds: checkTimeout(platform.host.config, body.timeout ?? timeoutSeconds, 1),
				autoPause: body.autoPause ?? false,
				autoPauseMemory: body.autoPauseMemory ?? true,
				autoResume: body.autoResume?.enabled ?? false,
				secure,
				allowInternetAccess: body.allow_internet_access,
				network: body.network ?? {},
				metadata,
				envVars,
				rest: restAsked(body),
				retention: body.retention ?? {},
			});
			return reply.code(201).send(toSandbox(resident.record, platform));
		});
	}
}

/** A template, or else a snapshot, whose variables go on unless the client gives others. */
async function resolve(
	{ host, templates, preparation }: Platform,
	team: Team,
	{ templateID: reference, isolation: asked, metadata = {} }: Static<typeof CreateBody>,
): Promise<{ source: Source; envVars: Record<string, string> }> {
	const { minimumIsolation: minimum } = team;
	const snapshot = templates.knows(reference) ? undefined : await findSnapshot(host, team, reference);
	if (snapshot !== undefined) {
		const source = await sourceOf(host, templates, snapshot);
		keepIsolation(source.isolation, { asked, metadata }, minimum);
		return { source, envVars: variablesOf(host, snapshot) };
	}
	const template = templates.resolve(reference);
	const isolation = chooseIsolation(host.isolations, { asked, metadata, template, minimum });
	const generationId = await preparation.ready(template, isolation);
	return { source: fromTemplate(template, isolation, generationId), envVars: {} };
}

function restAsked({ doze, dozeAfterMs, sleepAfterMs }: Static<typeof CreateBody>): Partial<Rest> {
	return {
		...(doze === undefined ? {} : { doze }),
		...(dozeAfterMs === undefined ? {} : { dozeAfterMs }),
		...(sleepAfterMs === undefined ? {} : { sleepAfterMs }),
	};
}

/** What one field says about another. */
function check(body: Static<typeof CreateBody>, secure: boolean): void {
	if (body.autoPauseMemory === false && body.autoPause !== true) {
		refuse("autoPauseMemory: false needs autoPause: true, since only a pause keeps anything");
	}
	if (body.autoPauseMemory === false && body.autoResume?.enabled === true) {
		refuse("autoPauseMemory: false cannot go with autoResume: a cold boot needs an explicit connect");
	}
	if (body.network?.allowPublicTraffic === false && !secure) {
		refuse("network.allowPublicTraffic: false needs secure: true");
	}
	checkNetwork(body.network ?? {});
	checkAttached({ metadata: body.metadata ?? {}, envVars: body.envVars ?? {} });
	const mounts = body.volumeMounts ?? [];
	if (mounts.length > 0) {
		const lines = mounts.map((_, i) => `volume mount #${i}: this platform has no volumes yet`);
		refuse(["invalid mounts:", ...lines].join("\n"));
	}
	for (const name of Object.keys(body.envVars ?? {})) {
		if (name === "" || /[=\0]/.test(name)) refuse(`envVars: '${name}' cannot be the name of a variable`);
	}
}

function refuse(message: string): never {
	throw new DormiceError("invalid_argument", message);
}
