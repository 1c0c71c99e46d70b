import type { Sandbox, SandboxRow, SandboxSecrets } from "../database/schema.ts";
import type { Vault } from "../secrets/vault.ts";

type SealedColumns = Sandbox["sealed"];

/** The columns' names in the database, which a sealed text is bound to. */
const COLUMNS = {
	accessToken: "access_token",
	trafficToken: "traffic_token",
	network: "network",
	envVars: "env_vars",
} as const;

/** A sandbox's secrets as its row holds them. */
export function sealSecrets<Part extends Partial<SandboxSecrets>>(
	vault: Vault,
	id: string,
	secrets: Part,
): Pick<SealedColumns, keyof Part & keyof SealedColumns> {
	const entries = Object.entries(secrets) as [keyof SandboxSecrets, SandboxSecrets[keyof SandboxSecrets]][];
	const sealed = entries.map(([name, value]) => {
		const text = value === null || typeof value === "string" ? value : JSON.stringify(value);
		return [name, text === null ? null : vault.seal(text, { table: "sandboxes", column: COLUMNS[name], row: id })];
	});
	return Object.fromEntries(sealed) as Pick<SealedColumns, keyof Part & keyof SealedColumns>;
}

/** A row that comes from the database. What is sealed as in the copy that is known already is not opened again. */
export function openRow(vault: Vault, row: SandboxRow, known?: Sandbox): Sandbox {
	const { id, accessToken, trafficToken, network, envVars } = row;
	const sealed = { accessToken, trafficToken, network, envVars };
	const read = <Name extends keyof SandboxSecrets>(
		name: Name,
		parse: (text: string) => SandboxSecrets[Name] | null,
	) => {
		const text = sealed[name];
		if (text === null) return null;
		if (known !== undefined && known.id === id && known.sealed[name] === text) return known[name];
		return parse(vault.open(text, { table: "sandboxes", column: COLUMNS[name], row: id }));
	};
	return {
		...row,
		accessToken: read("accessToken", (text) => text),
		trafficToken: read("trafficToken", (text) => text),
		network: read("network", JSON.parse) ?? {},
		envVars: read("envVars", JSON.parse) ?? {},
		sealed,
	};
}
