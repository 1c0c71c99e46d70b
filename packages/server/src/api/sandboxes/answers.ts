import { GUEST, publicState } from "@dormice/protocol";
import type { Sandbox } from "../../database/schema.ts";
import type { ListedSandbox } from "../../sandboxes/list.ts";
import type { Platform } from "../platform.ts";

/** E2B's hosted service has this one client; clients only pass it on. */
const CLIENT_ID = "6532622b";

/** What create, connect and resume answer. */
export function toSandbox(record: Sandbox, platform: Platform) {
	return {
		templateID: record.templateId,
		sandboxID: record.id,
		clientID: CLIENT_ID,
		...aliasOf(record, platform),
		envdVersion: GUEST.envdVersion,
		...given("envdAccessToken", record.accessToken),
		...given("trafficAccessToken", record.trafficToken),
		domain: platform.domain(),
		isolation: record.isolation,
	};
}

/** A line of the list. */
export function toListed(record: ListedSandbox, platform: Platform) {
	return {
		templateID: record.templateId,
		sandboxID: record.id,
		clientID: CLIENT_ID,
		...aliasOf(record, platform),
		startedAt: record.startedAt.toISOString(),
		endAt: record.endAt.toISOString(),
		cpuCount: record.cpuCount,
		memoryMB: record.memoryMib,
		diskSizeMB: record.diskMib,
		metadata: record.metadata,
		state: publicState(record) ?? "running",
		// Ours: where on the ladder it is, whatever it reads as.
		rung: record.state,
		envdVersion: GUEST.envdVersion,
		isolation: record.isolation,
	};
}

/** All about one sandbox. */
export function toDetail(record: Sandbox, platform: Platform) {
	return {
		...toListed(record, platform),
		...given("envdAccessToken", record.accessToken),
		...given("trafficAccessToken", record.trafficToken),
		allowInternetAccess: record.allowInternetAccess,
		domain: platform.domain(),
		network: record.network,
		lifecycle: { autoResume: record.autoResume, onTimeout: record.autoPause ? "pause" : "kill" },
	};
}

function aliasOf({ templateId }: Pick<Sandbox, "templateId">, { templates }: Platform): { alias?: string } {
	const alias = templates.get(templateId)?.alias;
	return alias === undefined ? {} : { alias };
}

function given<Name extends string>(name: Name, value: string | null): { [name in Name]?: string } {
	return value === null ? {} : ({ [name]: value } as { [name in Name]: string });
}
