import type { SandboxInfo } from "@dormice/sdk";
import { Option } from "commander";

export interface TokenOptions {
	showToken?: boolean;
}

/** For commands whose JSON tells of a sandbox: what opens it is for who asks. A new one each time: commander changes it. */
export function showTokenOption(): Option {
	return new Option("--show-token", "with --json: also the tokens that open it, which otherwise are left out");
}

export function told(info: SandboxInfo, { showToken = false }: TokenOptions): SandboxInfo {
	if (showToken) return info;
	const { envdAccessToken: _, trafficAccessToken: __, ...rest } = info;
	return rest;
}
