import { DormiceError } from "@dormice/protocol";
import { run } from "../command.ts";
import { NODE, type PlatformPaths, REPOSITORY } from "./paths.ts";
import { readVariables, type Variables } from "./settings.ts";

/** Throws `invalid_argument` for what the engine or the server would end over: before it is remembered, or anything starts. */
export async function checkVariables(paths: PlatformPaths, variables: Variables): Promise<void> {
	const env = { DATABASE_URL: "postgres://", ...variables, DORMICE_DATA: paths.data };
	await Promise.all(
		["engine", "server"].map(async (name) => {
			let said = "";
			const onLine = (line: string) => {
				said ||= line;
			};
			await run([NODE, `${REPOSITORY}/packages/${name}/src/check-main.ts`], { env, onLine }).catch((cause: unknown) => {
				throw new DormiceError("invalid_argument", `${said} Nothing was started or remembered.`, { cause });
			});
		}),
	);
}

/** The names of those that a platform was not started with. */
export function changedVariables(paths: PlatformPaths, ofThisRun: Variables): string[] {
	const recorded = readVariables(paths.variables, {});
	return Object.keys(ofThisRun).filter((name) => ofThisRun[name] !== (recorded[name] ?? DEFAULTS[name]));
}

/** What the CLI itself says where nobody said anything. */
const DEFAULTS: Variables = { DORMICE_ALLOW_EMULATION: "0" };
