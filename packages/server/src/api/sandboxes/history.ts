import { DormiceError } from "@dormice/protocol";
import { Type } from "typebox";
import type { GenerationRow } from "../../database/schema.ts";
import { checkpoint } from "../../sandboxes/checkpoint.ts";
import { diff } from "../../sandboxes/diff.ts";
import { findGeneration, listGenerations, remove } from "../../sandboxes/generations.ts";
import { amend } from "../../sandboxes/move.ts";
import type { Resident } from "../../sandboxes/resident.ts";
import { rollback } from "../../sandboxes/rollback.ts";
import { MEMBER } from "../access.ts";
import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { GenerationReference, RetentionBody, SandboxParams, tags } from "./schemas.ts";

/** Starts with a letter, so that none is mistaken for an option, and is never as long as an id. */
const Label = Type.String({ pattern: "^[A-Za-z][A-Za-z0-9._-]{0,63}$" });

/** Ours, beside E2B's routes: a sandbox's stored states, and going back to them. Each goes by its id or its label. */
export function historyRoutes(app: App, { host }: Platform): void {
	const params = SandboxParams;
	const store = { tags, params, body: Type.Object({ label: Type.Optional(Label) }) };
	app.post(
		"/sandboxes/:sandboxID/checkpoints",
		{ config: MEMBER, schema: store },
		async ({ params, body, team }, reply) => {
			const resident = host.table.owned(params.sandboxID, team.id);
			const generation = await checkpoint(host, resident, { reason: "checkpoint", label: body.label });
			return reply.code(201).send(toGeneration(generation, resident));
		},
	);

	app.get(
		"/sandboxes/:sandboxID/generations",
		{ config: MEMBER, schema: { tags, params } },
		async ({ params, team }) => {
			const resident = host.table.owned(params.sandboxID, team.id);
			const rows = await listGenerations(host, resident);
			return rows.map((row) => toGeneration(row, resident));
		},
	);

	const one = Type.Object({ sandboxID: Type.String(), generationID: GenerationReference });
	const path = "/sandboxes/:sandboxID/generations/:generationID";
	app.delete(path, { config: MEMBER, schema: { tags, params: one } }, async ({ params, team }, reply) => {
		const resident = host.table.owned(params.sandboxID, team.id);
		const { id } = await findGeneration(host, resident, params.generationID);
		if (host.unfinished.has(id) || !(await remove(host, id))) {
			throw new DormiceError(
				"state_conflict",
				`Something starts from the stored state ${id}: it cannot be deleted now.`,
			);
		}
		return reply.code(204).send();
	});

	const keep = { tags, params, body: RetentionBody };
	app.put(
		"/sandboxes/:sandboxID/retention",
		{ config: MEMBER, schema: keep },
		async ({ params, body, team }, reply) => {
			const resident = host.table.owned(params.sandboxID, team.id);
			await amend(host, resident, { retention: JSON.stringify(body) }, "setting a sandbox's retention");
			return reply.code(204).send();
		},
	);

	const back = { tags, params, body: Type.Object({ generationID: GenerationReference }) };
	app.post("/sandboxes/:sandboxID/rollback", { config: MEMBER, schema: back }, async ({ params, body, team }) => {
		const resident = host.table.owned(params.sandboxID, team.id);
		const { generationId, replacedId } = await rollback(host, resident, body.generationID);
		return { generationID: generationId, replacedID: replacedId };
	});

	const querystring = Type.Object({ from: GenerationReference, to: Type.Optional(GenerationReference) });
	app.get(
		"/sandboxes/:sandboxID/diff",
		{ config: MEMBER, schema: { tags, params, querystring } },
		async ({ params, query, team }) => {
			const resident = host.table.owned(params.sandboxID, team.id);
			const { files, truncated, started, ended } = await diff(host, resident, query.from, query.to);
			return { files, truncated, processes: { started, ended } };
		},
	);
}

function toGeneration(row: GenerationRow, { record }: Resident) {
	return {
		generationID: row.id,
		parentID: row.parentId,
		label: row.label,
		reason: row.reason,
		createdAt: row.createdAt.toISOString(),
		isolation: row.isolation,
		memory: row.memory,
		memoryBytes: row.memoryBytes,
		diskBytes: row.diskBytes,
		/** What it sleeps in, or what now runs grew from. */
		current: row.id === record.generationId,
		corrupt: row.corrupt,
	};
}
